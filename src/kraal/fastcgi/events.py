"""What the bytes of a FastCGI connection mean, as one value per thing that happens."""

from dataclasses import dataclass

from kraal.fastcgi import records
from kraal.fastcgi.records import ProtocolStatus

# -- events of the application's side --


@dataclass(frozen=True, slots=True)
class RequestBegun:
    """A request starts; its params follow."""

    request_id: int
    keep_connection: bool


@dataclass(frozen=True, slots=True)
class ParamsComplete:
    """All params are here, in their order; a name may occur more than once and the last one counts."""

    request_id: int
    pairs: tuple[records.Pair, ...]

    @property
    def params(self) -> dict[bytes, bytes]:
        return dict(self.pairs)


@dataclass(frozen=True, slots=True)
class BodyData:
    """A piece of the request's body, never empty."""

    request_id: int
    content: bytes


@dataclass(frozen=True, slots=True)
class BodyEnd:
    """The request's body is complete."""

    request_id: int


@dataclass(frozen=True, slots=True)
class Aborted:
    """The web server lost interest; the request still has to be ended."""

    request_id: int


@dataclass(frozen=True, slots=True)
class RequestRefused:
    """A request was begun that we cannot serve; `reply` is to be sent.  The running one goes on."""

    request_id: int
    protocol_status: ProtocolStatus
    reply: bytes


@dataclass(frozen=True, slots=True)
class ManagementRequest:
    """The peer asked about us, not for a page; `reply` is to be sent."""

    type: int
    reply: bytes


# -- events of the web server's side --


@dataclass(frozen=True, slots=True)
class StdoutData:
    """A piece of the response, never empty."""

    request_id: int
    content: bytes


@dataclass(frozen=True, slots=True)
class StderrData:
    """A piece of what the application wants logged, never empty."""

    request_id: int
    content: bytes


@dataclass(frozen=True, slots=True)
class RequestEnded:
    """The response is complete, or the request was refused."""

    request_id: int
    app_status: int
    protocol_status: ProtocolStatus


@dataclass(frozen=True, slots=True)
class Values:
    """The answer to GET_VALUES: those of the asked values that the application knows."""

    pairs: tuple[records.Pair, ...]


@dataclass(frozen=True, slots=True)
class TypeUnknown:
    """The application does not know this type of management record."""

    type: int


# -- events of both sides --


@dataclass(frozen=True, slots=True)
class ConnectionClosed:
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
