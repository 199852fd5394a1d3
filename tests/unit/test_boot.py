"""The order of the master reaches the manager whole."""

import json

from hypothesis import given
from hypothesis import strategies as st

from kraal.boot import Descriptor, Order, Php, Privileges
from kraal.fields import replace

# What os.environ and configuration files may hold: any bytes, undecodable ones as lone surrogates.
text = st.binary(max_size=30).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
number = st.integers(min_value=-(2**63), max_value=2**64)
orders = st.builds(
    Order,
    pool=text,
    policy=st.sampled_from(["static", "dynamic", "ondemand"]),
    max_children=number,
    php=st.builds(
        Php,
        ini_path=st.none() | text,
        ini_scan_dir=st.none() | text,
        ini_ignore=st.booleans(),
        defines=st.lists(text).map(tuple),
        executable=text,
        extended_info=st.booleans(),
    ),
    privileges=st.builds(
        Privileges,
        uid=st.none() | number,
        gid=st.none() | number,
        groups=st.lists(number).map(tuple),
        nice=st.none() | number,
        files=st.none() | number,
        core=st.none() | number,
        dumpable=st.booleans(),
        chroot=st.none() | text,
        chdir=st.none() | text,
    ),
    environment=st.dictionaries(text, text),
    ini=st.lists(st.tuples(text, text, st.booleans())).map(tuple),
    start_servers=number,
    min_spare_servers=number,
    max_spare_servers=number,
    max_spawn_rate=number,
    idle_timeout=st.floats(min_value=0, allow_nan=False),
    max_memory=number,
    max_requests=number,
    max_requests_jitter=number,
    queue_length=number,
    queue_wait=number,
    kept_timeout=number,
    header_timeout=number,
    body_timeout=number,
    body_buffer=number,
    extensions=text,
    php_values=st.none() | st.lists(text).map(tuple),
    body_files=st.none() | st.lists(text).map(tuple),
    allowed_clients=st.none() | st.lists(st.tuples(text, number)).map(tuple),
    client_complaints=st.lists(text).map(tuple),
    status_path=st.none() | text,
    ping_path=st.none() | text,
    ping_response=text,
    catch_output=st.booleans(),
    log_level=st.integers(1, 5),
    log_limit=st.integers(512, 1 << 20),
    log_buffering=st.booleans(),
    drain_timeout=st.none() | st.floats(min_value=0, max_value=1e6),
    quit_timeout=st.floats(min_value=0, allow_nan=False),
    control_timeout=st.floats(min_value=0, allow_nan=False),
)


@given(orders)
def test_order_survives_its_journey(order: Order) -> None:
    assert Order.from_bytes(order.to_bytes()) == order


@given(orders)
def test_order_of_another_version_is_read_as_far_as_it_is_understood(order: Order) -> None:
    plain = json.loads(order.to_bytes())
    for part in (plain, plain["php"], plain["privileges"]):
        part["unknown"] = [1, {"two": 3}]
    for name in ("ini", "log_limit", "access", "match", "descriptors"):
        del plain[name]
    del plain["privileges"]["groups"]

    arrived = Order.from_bytes(json.dumps(plain).encode())

    privileges = replace(order.privileges, groups=())
    assert arrived == replace(order, ini=(), log_limit=1024, access=None, match=(), privileges=privileges)
    assert arrived.fits


def test_order_for_other_descriptors_does_not_fit() -> None:
    order = Order(pool="www", policy="static", max_children=1, php=Php(ini_path=None, ini_scan_dir=None))

    assert order.fits
    assert replace(order, descriptors=order.descriptors | {"of the future": 70}).fits
    assert not replace(order, descriptors=order.descriptors | {"POKE": 70}).fits


@given(orders)
def test_order_is_as_unchangeable_after_its_journey_as_before(order: Order) -> None:
    arrived = Order.from_bytes(order.to_bytes())

    assert isinstance(arrived.php.defines, tuple)
    assert isinstance(arrived.privileges.groups, tuple)
    assert all(isinstance(value, tuple) for value in (*arrived.ini, *(arrived.allowed_clients or ())))


def test_descriptors_stand_in_a_row_from_three() -> None:
    assert list(Descriptor) == list(range(3, 15))
