-- config.lua: the one settings file. It returns a table; every line below is a comment that shows the default. The server reads it at
-- start (a reload reads the scripts only). Another file: --config FILE. An option on the command line is stronger than this file.
-- Folders are relative to this file.

return {
  -- Where it listens. Anything but loopback needs trusted_proxies (a TLS proxy in front, see docs/operations.md) or --insecure.
  -- address = "127.0.0.1:8080",

  -- The data folder: database, files. Made when it is missing. Without this line and without --data: the folder "data" where you stand.
  -- data = "data",

  -- The company's time zone, for dates of whoever has not chosen one.
  -- time_zone = "Europe/Moscow",

  -- Addresses or ranges of proxies whose X-Forwarded-For and X-Forwarded-Proto are believed.
  -- trusted_proxies = { "127.0.0.1" },

  -- Plugins that are enabled, by the names of their folders.
  -- plugins = {},

  -- What enabled plugins are told, by plugin: names and values that its plugin.lua declares, such as { acme_discounts = { most = 20 } }.
  -- plugin_config = {},

  -- What one call of a script may use, by kind of call: milliseconds, MiB of its Lua state, records it is handed, queries. These are the
  -- defaults; name only what differs. Past half of one the log warns.
  -- limits = {
  --   load = { time_ms = 5000, memory_mb = 64 },
  --   hook = { time_ms = 100, memory_mb = 64, rows = 2000, queries = 200 },
  --   action = { time_ms = 500, memory_mb = 64, rows = 5000, queries = 500 },
  --   route = { time_ms = 2000, memory_mb = 64, rows = 20000, queries = 1000 },
  --   job = { time_ms = 5000, memory_mb = 64, rows = 100000, queries = 10000 },
  --   computed = { time_ms = 20, memory_mb = 64, rows = 100, queries = 20 },
  -- },

  -- Where the scripts lie.
  -- scripts = "scripts",
  -- workflows = "workflows",
  -- plugin_folder = "plugins",

  -- Where jobs of workflows may go over HTTP: hosts, and inner addresses or ranges (none unless they are named here).
  -- http_allow = { "api.example.com" },
  -- http_open = { "10.0.0.0/8" },

  -- The web workplace: the folder of its built files; "" serves the API alone.
  -- desk = "build/desk",

  -- Certificates to trust instead of the system's.
  -- ca_file = "/etc/ssl/certs/ca-certificates.crt",

  -- How mail leaves. The password may also come from the environment, PERIGEE_MAIL_PASSWORD.
  -- mail = { url = "smtp://mail.example.com:587", from = "Perigee <crm@example.com>", user = "crm", password = "secret", plain = false },

  -- Threads that answer requests; 0: one for each core.
  -- threads = 0,

  -- The largest body of a request in bytes (imports and files have limits of their own).
  -- body_bytes = 1048576,

  -- The largest file to import, the largest uploaded file, and all uploaded files together (0: as many as the disk holds).
  -- import_bytes = 1073741824,
  -- file_bytes = 268435456,
  -- files_bytes = 0,

  -- Media types that uploaded files may have, whole families too; all when this is left out.
  -- file_types = { "application/pdf", "image/*" },

  -- Writes that may wait; past it the answer is 503 with Retry-After.
  -- write_queue = 4096,

  -- Milliseconds that a read may take before it goes to the slow lane, and there before it is refused as too expensive.
  -- read_budget_ms = 5,
  -- slow_limit_ms = 10000,

  -- A session ends after so many minutes without a request, and after so many days in any case.
  -- session_idle_minutes = 480,
  -- session_days = 7,
}
