"""A stand-in for the services that the bridge talks with: strict as they are, and faulty when told to be."""
from .llm import HTTP, KEY, KEY_ENV, KINDS, PATH, URL_ENV, Llm
from .parent import ParentModel
from .request import Request
from .server import Server
from .turns import Call, Compat, Drop, Raw, Silence, Status, StreamError, Thought, Turn, Usage, Wire
from .views import Said, View, view

__all__ = ["HTTP", "KEY", "KEY_ENV", "KINDS", "PATH", "URL_ENV", "Call", "Compat", "Drop", "Llm", "ParentModel", "Raw", "Request", "Said", "Server", "Silence",
           "Status", "StreamError", "Thought", "Turn", "Usage", "View", "Wire", "view"]
