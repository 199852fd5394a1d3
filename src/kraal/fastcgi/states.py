"""Where a FastCGI conversation stands, and what moves it on: two tables, one per role."""

from enum import Enum, auto


class ServerState(Enum):
    """Where the application's side stands."""

    IDLE = auto()  # no request
    PARAMS = auto()  # begun, params are arriving
    BODY = auto()  # params are complete, the body is arriving
    ANSWERING = auto()  # everything has arrived, or the request was aborted
    CLOSED = auto()  # the last request has ended, or the peer broke the protocol


class ClientState(Enum):
    """Where the web server's side stands."""

    IDLE = auto()  # no request
    SENDING = auto()  # params are sent, the body is not complete
    WAITING = auto()  # everything is sent, or the request was aborted
    CLOSED = auto()  # the last request has ended, or the peer broke the protocol


class Step(Enum):
    """What moves a connection from state to state."""

    BEGIN = auto()
    PARAMS_END = auto()
    BODY_END = auto()
    ABORT = auto()
    END = auto()  # the request ended, the connection is kept
    END_AND_CLOSE = auto()  # the request ended, and the connection with it
    PEER_CLOSED = auto()  # the peer sends no more
    PEER_FAILED = auto()  # the peer broke the protocol


SERVER_TRANSITIONS = {
    (ServerState.IDLE, Step.BEGIN): ServerState.PARAMS,
    (ServerState.IDLE, Step.PEER_CLOSED): ServerState.CLOSED,
    (ServerState.PARAMS, Step.PARAMS_END): ServerState.BODY,
    (ServerState.PARAMS, Step.ABORT): ServerState.ANSWERING,
    (ServerState.BODY, Step.BODY_END): ServerState.ANSWERING,
    (ServerState.BODY, Step.ABORT): ServerState.ANSWERING,
    (ServerState.ANSWERING, Step.ABORT): ServerState.ANSWERING,
    # Half-closed: the peer has asked, and can still read the answer.
    (ServerState.ANSWERING, Step.PEER_CLOSED): ServerState.ANSWERING,
    # An answer may end before the request has arrived: nobody has to read a body.
    (ServerState.PARAMS, Step.END): ServerState.IDLE,
    (ServerState.BODY, Step.END): ServerState.IDLE,
    (ServerState.ANSWERING, Step.END): ServerState.IDLE,
    (ServerState.IDLE, Step.END_AND_CLOSE): ServerState.CLOSED,  # a refused request
    (ServerState.PARAMS, Step.END_AND_CLOSE): ServerState.CLOSED,
    (ServerState.BODY, Step.END_AND_CLOSE): ServerState.CLOSED,
    (ServerState.ANSWERING, Step.END_AND_CLOSE): ServerState.CLOSED,
    **{(state, Step.PEER_FAILED): ServerState.CLOSED for state in ServerState},
}

CLIENT_TRANSITIONS = {
    (ClientState.IDLE, Step.BEGIN): ClientState.SENDING,
    (ClientState.IDLE, Step.PEER_CLOSED): ClientState.CLOSED,
    (ClientState.SENDING, Step.BODY_END): ClientState.WAITING,
    (ClientState.SENDING, Step.ABORT): ClientState.WAITING,
    (ClientState.WAITING, Step.ABORT): ClientState.WAITING,
    (ClientState.SENDING, Step.END): ClientState.IDLE,
    (ClientState.WAITING, Step.END): ClientState.IDLE,
    (ClientState.SENDING, Step.END_AND_CLOSE): ClientState.CLOSED,
    (ClientState.WAITING, Step.END_AND_CLOSE): ClientState.CLOSED,
    **{(state, Step.PEER_FAILED): ClientState.CLOSED for state in ClientState},
}
