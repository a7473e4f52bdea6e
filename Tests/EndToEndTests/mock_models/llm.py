"""One provider of a test: its server (or parent), the model's names, the environment of a bridge, and what was asked."""
from __future__ import annotations

from .parent import ParentModel
from .server import Server
from .turns import Turn
from .views import view

HTTP = ("anthropic", "openai", "openai-responses")
KINDS = (*HTTP, "parent")
KEY = "sk-test-0123456789abcdef"
KEY_ENV = {"anthropic": "ANTHROPIC_API_KEY", "openai": "OPENAI_API_KEY", "openai-responses": "OPENAI_API_KEY"}
URL_ENV = {"anthropic": "ANTHROPIC_BASE_URL", "openai": "OPENAI_BASE_URL", "openai-responses": "OPENAI_BASE_URL"}
PATH = {"anthropic": "/v1/messages", "openai": "/chat/completions", "openai-responses": "/responses"}


class Llm:
    def __init__(self, lab, kind, key=KEY):
        self.lab, self.kind, self.count = lab, kind, 0
        self.http = kind in HTTP
        self.server = Server(key=key) if self.http else ParentModel()

    def base(self, server=None):
        """The base URL as the official SDK wants it: OpenAI's includes /v1, Anthropic's does not."""
        url = (server or self.server).url
        return url if self.kind == "anthropic" else url + "/v1"

    def env(self, **more):
        return {KEY_ENV[self.kind]: KEY, URL_ENV[self.kind]: self.base(), **more} if self.http else more

    def script(self, *steps, name=None):
        """Turns (or texts, or faults) of a new model; returns `provider:name`."""
        self.count += 1
        name = name or f"model-{self.count}"
        self.server.script(name, *[Turn(s) if isinstance(s, str) else s for s in steps])
        return f"{self.kind}:{name}"

    def bridge(self, *args, capabilities=None, env=None, **kw):
        caps = capabilities or {}
        if not self.http:
            caps = {"sampling": {"tools": {}}, **caps}
        b = self.lab.bridge(*args, capabilities=caps, env={**self.env(), **(env or {})}, **kw)
        return b if self.http else self.server.attach(b)

    def parent(self, *args, capabilities=None, **kw):
        """A bridge whose client answers tool.invoke."""
        return self.bridge(*args, capabilities={"tools": {}, **(capabilities or {})}, **kw)

    def asked(self, model):
        return self.server.requests_of(model.split(":", 1)[1])

    def views(self, model):
        """What each request of this model said."""
        return [view(self.kind, r.json) for r in self.asked(model)]

    def finish(self):
        self.server.check()

    def close(self):
        self.server.close()
