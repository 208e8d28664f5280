-- Requests out of a file, one line each: a token to be shown, or a body to be posted. Arguments after the URL:
-- file, first line, "cycle" or "once", "bearer" or "json", method, path. Prints one line of JSON at the end.
local threads = {}
local lines = {}
local head, kind, host

function setup(thread)
  table.insert(threads, thread)
end

function init(args)
  host = args[0]:match("^http://([^/]+)")
  position = tonumber(args[2])
  exhausted = 0
  cycling = args[3] == "cycle"
  kind = args[4]
  head = args[5] .. " " .. args[6] .. " HTTP/1.1\r\nHost: " .. host .. "\r\nUser-Agent: wrk\r\nAccept: */*\r\n"
  for line in io.lines(args[1]) do
    lines[#lines + 1] = line
  end
end

function request()
  if position >= #lines then
    if not cycling then
      exhausted = 1
      return "GET /health/live HTTP/1.1\r\nHost: " .. host .. "\r\n\r\n"
    end
    position = 0
  end
  position = position + 1
  local line = lines[position]
  if kind == "bearer" then
    return head .. "Authorization: Bearer " .. line .. "\r\n\r\n"
  end
  return head .. "Content-Type: application/json\r\nContent-Length: " .. #line .. "\r\n\r\n" .. line
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    'JSON {"requests":%d,"microseconds":%d,"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d,' ..
    '"p50":%d,"p90":%d,"p99":%d,"max":%d,"position":%d,"exhausted":%d}\n',
    summary.requests, summary.duration, errors.connect, errors.read, errors.write, errors.status, errors.timeout,
    latency:percentile(50), latency:percentile(90), latency:percentile(99), latency.max,
    threads[1]:get("position"), threads[1]:get("exhausted")))
end
