"""Which reports of sanitizers and valgrind are about kraal; see tests/sanitize."""

import pytest

from tests.sanitize.reports import Report, about_us, of_address, of_valgrind

SOURCES = ("params.c",)
OURS = "(/venv/kraal/_native/libkraal-php20220829.so+0x63034)"
PHP = "(/lib/libphp8.2.so+0x3004bd)"

OVERRUN = f"""==7==WARNING: ASan is ignoring requested __asan_handle_no_return
=================================================================
==7==ERROR: AddressSanitizer: heap-buffer-overflow on address 0x1 at pc 0x2 bp 0x3 sp 0x4
READ of size 1 at 0x1 thread T0
    #0 0x7f56c0447680  {PHP}
    #1 0x7f56beb6cf79  {PHP}

0x1 is located 0 bytes to the right of 8-byte region
allocated by thread T0 here:
    #0 0x7f56c0447680  {PHP}
"""
UNDEFINED = f"""params.c:3:5: runtime error: shift exponent 64 is too large
    #0 0x7f56c0447680  {OURS}
"""


def leak(*frames: str) -> str:
    stack = "".join(f"    #{number} 0x7f{number} {frame}\n" for number, frame in enumerate(frames))
    return f"Direct leak of 5 byte(s) in 1 object(s) allocated from:\n{stack}"


def leaks(*told: str) -> str:
    return "==9==ERROR: LeakSanitizer: detected memory leaks\n\n" + "\n".join(told) + "\nSUMMARY: 5 byte(s)\n"


def losing(*frames: str) -> str:
    stack = "".join(
        f"==5==    {'by' if at else 'at'} 0x4A0{at}: {frame}\n" for at, frame in enumerate(frames)
    )
    return f"==5== 40 bytes in 1 blocks are definitely lost in loss record 7 of 16\n{stack}==5== \n"


@pytest.mark.parametrize(
    "text", [OVERRUN, UNDEFINED, leaks(leak("malloc", PHP, OURS), leak("malloc", PHP, PHP))], ids=str.split
)
def test_what_the_sanitizers_say_of_us_is_one_report(text: str) -> None:
    assert len(about_us(of_address(text), SOURCES)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "==7==WARNING: ASan doesn't fully support makecontext/swapcontext functions\n",
        leaks(leak("malloc", PHP, PHP, PHP, OURS)),
    ],
)
def test_what_php_leaves_is_none(text: str) -> None:
    assert about_us(of_address(text), SOURCES) == []


def test_reports_of_one_place_are_one() -> None:
    text = leaks(*[leak("malloc", OURS)] * 3)
    assert [report.text for report in about_us(of_address(text), SOURCES)] == [
        leak("malloc", OURS).rstrip("\n")
    ]


@pytest.mark.parametrize(
    ("frames", "ours"),
    [
        (("malloc (in /usr/libexec/valgrind.so)", "params_copy (params.c:208)"), True),
        (("malloc (in /usr/libexec/valgrind.so)", "save (spt_status.c:225)"), False),
        (("a (b.c:1)", "c (b.c:2)", "d (b.c:3)", "e (b.c:4)", "params_copy (params.c:208)"), False),
        (("zend_string_equal_val (in libphp8.2.so)", "params_copy (params.c:208)"), False),
    ],
)
def test_what_valgrind_says_is_ours_if_a_frame_near_it_is(frames: tuple[str, ...], ours: bool) -> None:
    assert bool(about_us(of_valgrind(losing("x (y.c:1)") + losing(*frames)), SOURCES)) == ours


def test_where_the_memory_is_from_does_not_make_valgrinds_report_ours() -> None:
    text = (
        "==5== Invalid read of size 1\n==5==    at 0x4A0: memcpy (in vgpreload.so)\n"
        "==5==  Address 0x1 is 0 bytes after a block of size 8 alloc'd\n"
        "==5==    at 0x4A1: malloc (in vgpreload.so)\n==5==    by 0x4A2: params_copy (params.c:208)\n==5== \n"
    )
    assert [report.frames for report in of_valgrind(text)] == [("memcpy (in vgpreload.so)",)]
    assert about_us(of_valgrind(text), SOURCES) == []


def test_a_report_names_its_frames() -> None:
    assert list(of_address(leaks(leak("malloc", PHP)))) == [
        Report(leak("malloc", PHP).rstrip("\n"), ("malloc", PHP))
    ]
