// server.mjs: a server of its own for the browser tests, with a few people and deals, and a browser that talks to nobody else.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

export const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const perigee = process.env.PERIGEE ?? join(root, "build/perigee");
export const PASSWORD = "a long enough secret";

function run(...args) {
  const done = spawnSync(perigee, args, { cwd: root, encoding: "utf8", input: `${PASSWORD}\n` });
  if (done.status !== 0) throw new Error(`perigee ${args.join(" ")}: ${done.stdout}${done.stderr}`);
  return done.stdout.trim();
}

function addDemo(folder, data) {
  const file = join(folder, "demo.json");
  writeFileSync(file, spawnSync(join(root, "tools/demo"), { encoding: "utf8", maxBuffer: 1 << 28 }).stdout);
  run("import", "--data", data, "--masterdata", file, "--automation", "off");
  run("user", "password", "--data", data, "--login", "emma", "--password-stdin");
}

/** `demo`: with the demonstration company, whose people all have PASSWORD. */
export async function startServer({ demo = false } = {}) {
  const folder = mkdtempSync(join(tmpdir(), "perigee-desk-"));
  const data = join(folder, "data");
  writeFileSync(join(folder, "config.lua"), `return { desk = "${join(root, "build/desk")}" }\n`);
  run("import", "--data", data, "--masterdata", join(root, "masterdata/crm.json"));
  if (demo) addDemo(folder, data);
  const user = (login, name, role, ...more) => run("user", "create", "--data", data, "--login", login, "--name", name, "--role", role, "--direction", "cloud", ...more, "--password-stdin");
  if (!demo) {
    user("boss", "Boris Boss", "crm_manager");
    user("anna", "Anna Sales", "crm_sales", "--manager", "boss");
    user("admin", "Alla Admin", "crm_admin");
    user("reader", "Rita Reader", "crm_read_admin");
  }
  const child = spawn(perigee, ["serve", "--data", data, "--config", join(folder, "config.lua"), "--listen", "127.0.0.1:0"], { cwd: root, stdio: "ignore" });
  const port = await until(() => existsSync(join(data, "perigee.port")) && readFileSync(join(data, "perigee.port"), "utf8").trim());
  const address = `http://127.0.0.1:${port}`;
  const tokens = {};
  const api = async (login, method, path, body) => {
    tokens[login] ??= run("token", "create", "--data", data, "--user", login);
    const answer = await fetch(`${address}/api/v1/${path}`, { method, headers: { Authorization: `Bearer ${tokens[login]}`, "Content-Type": "application/json" }, body: body && JSON.stringify(body) });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return text ? JSON.parse(text) : undefined;
  };
  const stop = async () => {
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGTERM");
    const code = await ended;
    rmSync(folder, { recursive: true, force: true });
    if (code !== 0) throw new Error(`the server ended with ${code}`);
  };
  return { address, api, stop };
}

export async function until(condition, milliseconds = 30000) {
  const end = Date.now() + milliseconds;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) throw new Error("waited too long");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export function startBrowser() {
  const args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args });
}

/** A page on which every error of the script, every blocked content and every request elsewhere fails the test. */
export async function openPage(browser, server, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 840 }, locale: "en-US", ...options });
  const page = await context.newPage();
  const wrong = [];
  page.on("pageerror", (e) => wrong.push(e.message));
  page.on("console", (m) => { if (/Content Security Policy/.test(m.text())) wrong.push(m.text()); });
  page.on("request", (r) => { if (!r.url().startsWith(server.address) && !/^(data|blob):/.test(r.url())) wrong.push(`asked ${r.url()}`); });
  return { page, context, wrong };
}

export async function signIn(page, server, login) {
  await page.goto(server.address);
  await page.fill("#login", login);
  await page.fill("#password", PASSWORD);
  await page.click("button[type=submit]");
  await page.waitForSelector(".shell");
}
