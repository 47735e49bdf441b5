// Validates the document on standard input against the official JSON Schema of its version of OpenAPI; answers the version and "valid", or
// what is wrong.
import { Validator } from "@seriousme/openapi-schema-validator";

let text = "";
for await (const piece of process.stdin) text += piece;
const validator = new Validator();
const result = await validator.validate(JSON.parse(text));
console.log(validator.version, result.valid ? "valid" : JSON.stringify(result.errors).slice(0, 4000));
