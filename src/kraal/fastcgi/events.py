"""What the bytes of a FastCGI connection mean, as one value per thing that happens."""

from kraal.fastcgi import records
from kraal.fastcgi.records import ProtocolStatus
from kraal.fields import Frozen

# -- events of the application's side --


class RequestBegun(Frozen):
    """A request starts; its params follow."""

    request_id: int
    keep_connection: bool


class ParamsComplete(Frozen):
    """All params are here, in their order; a name may occur more than once and the last one counts."""

    request_id: int
    pairs: tuple[records.Pair, ...]

    @property
    def params(self) -> dict[bytes, bytes]:
        return dict(self.pairs)


class BodyData(Frozen):
    """A piece of the request's body, never empty."""

    request_id: int
    content: bytes


class BodyEnd(Frozen):
    """The request's body is complete."""

    request_id: int


class Aborted(Frozen):
    """The web server lost interest; the request still has to be ended."""

    request_id: int


class RequestRefused(Frozen):
    """A request was begun that we cannot serve; `reply` is to be sent.  The running one goes on."""

    request_id: int
    protocol_status: ProtocolStatus
    reply: bytes


class ManagementRequest(Frozen):
    """The peer asked about us, not for a page; `reply` is to be sent."""

    type: int
    reply: bytes


# -- events of the web server's side --


class StdoutData(Frozen):
    """A piece of the response, never empty."""

    request_id: int
    content: bytes


class StderrData(Frozen):
    """A piece of what the application wants logged, never empty."""

    request_id: int
    content: bytes


class RequestEnded(Frozen):
    """The response is complete, or the request was refused."""

    request_id: int
    app_status: int
    protocol_status: ProtocolStatus


class Values(Frozen):
    """The answer to GET_VALUES: those of the asked values that the application knows."""

    pairs: tuple[records.Pair, ...]


class TypeUnknown(Frozen):
    """The application does not know this type of management record."""

    type: int


# -- events of both sides --


class ConnectionClosed(Frozen):
    """The peer sends no more, and at a moment when it may stop."""


ServerEvent = (
    RequestBegun
    | ParamsComplete
    | BodyData
    | BodyEnd
    | Aborted
    | RequestRefused
    | ManagementRequest
    | ConnectionClosed
)
ClientEvent = StdoutData | StderrData | RequestEnded | Values | TypeUnknown | ConnectionClosed
