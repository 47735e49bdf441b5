// desk.test.mjs: the desk as people use it, in a real browser.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { openPage, root, signIn, startBrowser, startServer } from "./server.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const shots = join(root, "build/screenshots");
mkdirSync(shots, { recursive: true });
let server, browser, company, deal;

before(async () => {
  server = await startServer();
  browser = await startBrowser();
  company = await server.api("anna", "POST", "companies", { name: "<img src=x onerror=alert(1)> & Sons", tax_id: "7707083893" });
  deal = await server.api("anna", "POST", "opportunities", { name: "Cloud for everybody", company: company.id });
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

async function accessible(page, where) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
  assert.deepEqual(violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).slice(0, 3).join(" | ")}`), [], where);
}

test("a wrong password is said beside the form", async () => {
  const { page, context } = await openPage(browser, server);
  await page.goto(server.address);
  await page.fill("#login", "anna");
  await page.fill("#password", "wrong");
  await page.click("button[type=submit]");
  await page.waitForSelector("[role=alert]");
  await page.screenshot({ path: join(shots, "sign-in.png") });
  await accessible(page, "sign-in");
  await context.close();
});

test("text from the data is text, and the list leads to the record", async () => {
  const { page, context, wrong } = await openPage(browser, server);
  await signIn(page, server, "anna");
  await page.goto(`${server.address}/companies`);
  await page.getByText("<img src=x onerror=alert(1)> & Sons").first().click();
  await page.waitForSelector("h1:has-text('<img')");
  assert.equal(await page.locator("main img").count(), 0);
  assert.deepEqual(wrong, []);
  await context.close();
});

test("a change is saved with Ctrl+S, and what is not saved is asked about", async () => {
  const { page, context, wrong } = await openPage(browser, server);
  await signIn(page, server, "anna");
  await page.goto(`${server.address}/companies/${company.id}`);
  await page.fill("#f-size", "42");
  await page.keyboard.press("Control+s");
  await page.waitForSelector(".toast:has-text('Saved')");
  assert.equal((await server.api("anna", "GET", `companies/${company.id}`)).size, 42);
  await page.fill("#f-size", "43");
  let asked = false;
  page.once("dialog", (d) => { asked = true; void d.dismiss(); });
  await page.click(".nav a[href='/contacts']");
  assert.ok(asked && page.url().endsWith(company.id));
  assert.deepEqual(wrong, []);
  await context.close();
});

test("a conflict shows mine and theirs", async () => {
  const { page, context } = await openPage(browser, server);
  await signIn(page, server, "anna");
  await page.goto(`${server.address}/companies/${company.id}`);
  await page.fill("#f-size", "50");
  await server.api("admin", "PATCH", `companies/${company.id}`, { size: 60 });
  await page.click("button:has-text('Save')");
  await page.waitForSelector("h2:has-text('Somebody else changed')");
  await page.screenshot({ path: join(shots, "conflict.png") });
  await page.click(".notice button.primary");
  await page.waitForSelector(".toast:has-text('Saved')");
  assert.equal((await server.api("anna", "GET", `companies/${company.id}`)).size, 50);
  await context.close();
});

test("a refused move opens the gate's form, and what it gets moves the deal", async () => {
  const contact = await server.api("anna", "POST", "contacts", { name: "Carl Contact", company: company.id });
  const { page, context, wrong } = await openPage(browser, server);
  await signIn(page, server, "anna");
  await page.goto(`${server.address}/opportunities/${deal.id}`);
  await page.click("button.bar-step:has-text('Qualification')");
  await page.waitForSelector("dialog[open]");
  await page.screenshot({ path: join(shots, "gate.png") });
  await accessible(page, "the gate");
  await page.fill("#f-gate-contact", "Carl");
  await page.click("[role=option]:has-text('Carl Contact')");
  await page.fill("#f-gate-products", "pl");
  await page.locator("dialog [role=option]").first().click();
  await page.click("dialog button.primary");
  await page.waitForSelector(".toast:has-text('Qualification')");
  const now = await server.api("anna", "GET", `opportunities/${deal.id}`);
  assert.equal(now.stage, "qualification");
  assert.equal(now.contact, contact.id);
  await page.waitForSelector("li.bar-step.current:has-text('Qualification')");
  assert.deepEqual(wrong, []);
  await context.close();
});

test("a card is moved from the board by its menu with the keyboard, and a refusal leaves it where it was", async () => {
  const moved = await server.api("anna", "POST", "opportunities", { name: "On the board", company: company.id });
  const { page, context, wrong } = await openPage(browser, server);
  await signIn(page, server, "anna");
  await page.goto(`${server.address}/opportunities/board`);
  const card = page.locator(".card", { hasText: "On the board" });
  await card.locator("button").focus();
  await page.keyboard.press("Enter");
  await page.waitForSelector("[role=menuitem]:focus");
  await page.screenshot({ path: join(shots, "board.png") });
  await page.keyboard.press("Enter");
  await page.waitForSelector("dialog[open]");
  await page.keyboard.press("Escape");
  assert.equal((await server.api("anna", "GET", `opportunities/${moved.id}`)).stage, "new");
  assert.deepEqual(wrong, []);
  await context.close();
});

test("quick search finds records and pages by the keyboard alone", async () => {
  const { page, context, wrong } = await openPage(browser, server);
  await signIn(page, server, "anna");
  await page.waitForSelector("h1");
  await page.keyboard.press("Control+k");
  await page.waitForSelector("dialog input:focus");
  await page.keyboard.type("everybody");
  await page.waitForSelector("#found [role=option]:has-text('Cloud for everybody')");
  await page.keyboard.press("Enter");
  await page.waitForURL(`**/opportunities/${deal.id}`);
  assert.deepEqual(wrong, []);
  await context.close();
});

test("who only reads is offered nothing to write", async () => {
  const { page, context } = await openPage(browser, server);
  await signIn(page, server, "reader");
  await page.goto(`${server.address}/companies`);
  await page.waitForSelector("table");
  assert.equal(await page.locator("a:has-text('New')").count(), 0);
  await page.goto(`${server.address}/companies/${company.id}`);
  await page.waitForSelector("h1");
  assert.equal(await page.locator(".form-grid input").count(), 0);
  await context.close();
});

for (const [lang, theme, width] of [["en", "light", 1280], ["ru", "dark", 1280], ["en", "light", 320]]) {
  test(`every page is accessible: ${lang}, ${theme}, ${width} px`, async () => {
    const { page, context, wrong } = await openPage(browser, server, { colorScheme: theme, viewport: { width, height: 840 } });
    const me = await server.api("anna", "GET", "me");
    await server.api("anna", "PATCH", `users/${me.id}`, { language: lang });
    await signIn(page, server, "anna");
    for (const path of ["/", "/opportunities", "/opportunities/board", `/opportunities/${deal.id}`, "/companies/new", "/settings", "/nowhere"]) {
      await page.goto(server.address + path);
      await page.waitForLoadState("networkidle");
      await page.screenshot({ path: join(shots, `${lang}-${theme}-${width}${path.replaceAll("/", "-").replace(deal.id, "deal")}.png`) });
      await accessible(page, `${path} ${lang} ${theme} ${width}`);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(wide <= 0, `${path} is ${wide} px too wide`);
    }
    assert.deepEqual(wrong, []);
    await context.close();
  });
}
