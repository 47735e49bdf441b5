// Verifies deliveries on standard input, one JSON object {secret, headers, body} a line, by the reference implementation of
// Standard Webhooks; answers "ok" or what is wrong, a line each.
import { createInterface } from "node:readline";
import { Webhook } from "standardwebhooks";

for await (const line of createInterface({ input: process.stdin })) {
  const { secret, headers, body } = JSON.parse(line);
  try {
    new Webhook(secret).verify(body, headers);
    console.log("ok");
  } catch (error) {
    console.log(String(error.message));
  }
}
