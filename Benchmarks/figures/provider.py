"""The loopback model of floors/provider.c."""
import subprocess

PROTOCOLS = {"openai": ("OPENAI", "/v1", "/v1/chat/completions"), "anthropic": ("ANTHROPIC", "", "/v1/messages")}


class Provider:
    """A provider that runs; what it answers is in the path: see provider.c."""

    def __init__(self, machine):
        self.child = subprocess.Popen(machine.floor("provider"), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.port = int(self.child.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.stdin.close()
        self.child.wait()
        self.child.stdout.close()

    def base(self, protocol, behaviour):
        return f"http://127.0.0.1:{self.port}/{behaviour}{PROTOCOLS[protocol][1]}"

    def environment(self, protocol, behaviour):
        """What sends a bridge, or a peer, there. A proxy is for other hosts."""
        name = PROTOCOLS[protocol][0]
        return {f"{name}_BASE_URL": self.base(protocol, behaviour), f"{name}_API_KEY": "unused", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}

    def path(self, protocol, behaviour):
        return f"/{behaviour}{PROTOCOLS[protocol][2]}"
