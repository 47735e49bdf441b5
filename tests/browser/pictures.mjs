// pictures.mjs: takes the pictures of the README from the demonstration data: node tests/browser/pictures.mjs
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openPage, root, signIn, startBrowser, startServer } from "./server.mjs";

const out = join(root, "docs/images");
mkdirSync(out, { recursive: true });
const server = await startServer({ demo: true });
const browser = await startBrowser();
const { page, context } = await openPage(browser, server, { viewport: { width: 1440, height: 900 } });
const me = await server.api("emma", "GET", "me");
await server.api("emma", "PATCH", `users/${me.id}`, { language: "en" });
await signIn(page, server, "emma");
const { items } = await server.api("emma", "GET", `opportunities?limit=1&sort=-amount&filter=${encodeURIComponent('stage = "proposal" and status = "in_progress"')}`);
for (const [name, path] of [["board", "/opportunities/board"], ["record", `/opportunities/${items[0].id}`]]) {
  await page.goto(server.address + path);
  await page.waitForLoadState("networkidle");
  writeFileSync(join(out, `${name}.png`), await page.screenshot());
}
await context.close();
await browser.close();
await server.stop();
