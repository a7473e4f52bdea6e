/// An MCP server in Python's standard library that misbehaves as it is told: by the options it is started with, a JSON object, and by its tools.
enum ServerScript {
  static let text = #"""
    import json, os, signal, sys, threading, time
    options = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}
    lock = threading.Lock()
    answers = {}
    tools = ["echo", "exit", "signal", "stall", "steps", "kinds", "structured", "error", "refuse", "grow", "ask", "asks", "junk", "words", "big",
             "env", "bad", "pid", "child", "close"]
    def send(message):
        with lock:
            sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
            sys.stdout.flush()
    def note(line):
        if "record" in options:
            with open(options["record"], "a") as f:
                f.write(line)
    def ask(method, params):
        key = "s-%d" % (len(answers) + 1)
        answers[key] = threading.Event()
        send({"id": key, "method": method, "params": params})
        event = answers[key]
        event.wait()
        return event.message.get("result", event.message.get("error"))
    def text(words, **more):
        return {"content": [{"type": "text", "text": words}], **more}
    def call(key, params):
        name, args = params["name"], params.get("arguments", {})
        token = params.get("_meta", {}).get("progressToken")
        if name == "echo": return text(json.dumps(args))
        if name == "exit": os._exit(args.get("code", 3))
        if name == "signal": os.kill(os.getpid(), args.get("number", 9)); time.sleep(60)
        if name == "close": os.close(1); time.sleep(60)
        if name == "stall": time.sleep(args.get("seconds", 600))
        if name == "pid": return text(str(os.getpid()))
        if name == "child":
            if os.fork() == 0:
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                with open(args["fifo"], "w") as f:
                    f.write("x"); f.flush()
                    time.sleep(600)
            return text("forked")
        if name == "steps":
            for n in range(1, args["count"] + 1):
                send({"method": "notifications/progress", "params": {"progressToken": token, "progress": n, "total": args["count"], "message": "step %d" % n}})
                time.sleep(args.get("pause", 0))
            return text("done")
        if name == "kinds":
            return {"content": [
                {"type": "text", "text": "words", "annotations": {"audience": ["user"], "priority": 0.10}},
                {"type": "image", "data": "aGk=", "mimeType": "image/png"}, {"type": "audio", "data": "aGk=", "mimeType": "audio/wav"},
                {"type": "resource_link", "uri": "file:///a", "name": "a", "mimeType": "text/plain"},
                {"type": "resource", "resource": {"uri": "file:///b", "text": "inside"}}, {"type": "hologram", "x": 1}]}
        if name == "structured": return {"content": [], "structuredContent": {"n": 18446744073709551615, "x": 0.10}, "_meta": {"k": 1}}
        if name == "error": return text("it did not work", isError=True)
        if name == "bad": return args["result"]
        if name == "grow":
            tools.append(args["name"])
            send({"method": "notifications/tools/list_changed"})
            return text("grown")
        if name == "ask": return text(json.dumps(ask(args["method"], args.get("params", {}))))
        if name == "asks":
            if "inputResponses" not in params:
                return {"resultType": "input_required", "inputRequests": args["requests"], "requestState": "opaque"}
            return {"resultType": "complete", **text(json.dumps([params["inputResponses"], params["requestState"]]))}
        if name == "junk":
            sys.stdout.write("this is no message\n" * args["lines"]); sys.stdout.flush()
            return text("printed")
        if name == "words":
            for line in args["lines"]: sys.stderr.write(line + "\n")
            sys.stderr.flush()
            return text("said")
        if name == "big": return text("x" * args["bytes"])
        if name == "env": return text(json.dumps(dict(os.environ)))
        return None
    def listing(params):
        names = tools + options.get("names", [])
        size = options.get("page", len(names))
        start = int(params.get("cursor", "0"))
        page = {"tools": [{"name": n, "description": "does " + n, "inputSchema": {"type": "object", "$comment": n}, "annotations": {
            "readOnlyHint": True, "idempotentHint": True, "destructiveHint": False}} for n in names[start:start + size]]}
        if options.get("loop"): page["nextCursor"] = "0"
        elif start + size < len(names): page["nextCursor"] = str(start + size)
        return page
    def answer(message):
        key, method, params = message["id"], message["method"], message.get("params", {})
        stateless = options.get("stateless", False)
        if method == options.get("silent"): return
        if method == options.get("die"): os._exit(7)
        if method == "initialize" and not stateless:
            result = {"protocolVersion": options.get("version", params["protocolVersion"]), "capabilities": {"tools": {"listChanged": True}},
                      "serverInfo": {"name": "script", "version": "1"}}
        elif method == "server/discover" and stateless:
            result = {"resultType": "complete", "supportedVersions": options.get("versions", ["2026-07-28"]),
                      "capabilities": {"tools": {"listChanged": True}}, "ttlMs": 0, "cacheScope": "private"}
        elif stateless and "io.modelcontextprotocol/protocolVersion" not in params.get("_meta", {}):
            return send({"id": key, "error": {"code": -32602, "message": "no protocolVersion"}})
        elif method == "subscriptions/listen": return
        elif method == "ping": result = {}
        elif method == "tools/list": result = listing(params)
        elif method == "tools/call":
            result = call(key, params)
            if result is None: return send({"id": key, "error": {"code": -32602, "message": "no such tool: " + params["name"]}})
        else: return send({"id": key, "error": {"code": -32601, "message": "Method not found"}})
        send({"id": key, "result": result})
    if options.get("deaf"): signal.signal(signal.SIGTERM, signal.SIG_IGN)
    note("start %d\n" % os.getpid())
    for line in sys.stdin:
        note(line)
        message = json.loads(line)
        if "method" not in message:
            if message.get("id") in answers:
                answers[message["id"]].message = message
                answers[message["id"]].set()
        elif "id" in message:
            if message.get("params", {}).get("name") == "freeze": time.sleep(600)
            elif message["method"] == "tools/call": threading.Thread(target=answer, args=(message,), daemon=True).start()
            else: answer(message)
    if options.get("deaf"): time.sleep(600)
    note("end\n")
    os._exit(0)
    """#
}
