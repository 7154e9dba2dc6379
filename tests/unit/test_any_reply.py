"""Rows U-B1 to U-B3: every reply at every command, early, trickled and cut, from a server on loopback."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chalicelib.diagnosis import DiagnosisClass
from chalicelib.mail.models import Envelope, Phase
from chalicelib.secret import Secret
from chalicelib.transports.refusals import Refused
from tests.unit.scripted_smtp import USER, USUAL, Scripted, authority_in, scripted_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chalicelib.transports.smtp.session import SmtpSession

ENVELOPE = Envelope(USER, ("bob@example.net",))
BODY = b"From: ada@contoso.test\r\n\r\nHello.\r\n"

CODES = range(200, 600)
PHASES = {
    "CONNECT": Phase.CONNECT,
    "EHLO": Phase.CONNECT,
    "TOKEN": Phase.AUTH,
    "MAIL": Phase.MAIL,
    "RCPT": Phase.RCPT,
    "DATA": Phase.DATA,
    "DOT": Phase.COMMIT,
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scripted]:
    """One server for all of these tests."""
    with scripted_server(authority_in(tmp_path_factory.mktemp("authority"))) as script:
        yield script


@pytest.fixture
def script(running: Scripted) -> Scripted:
    """The server, which answers as usual."""
    running.play()
    return running


def relay(session: SmtpSession) -> Refused | None:
    """The whole way of one message: None when it was sent, else what it was refused for."""
    try:
        session.connect()
        session.authenticate(Secret("token"))
        session.transfer(ENVELOPE, BODY)
        session.commit()
    except Refused as refused:
        return refused
    finally:
        session.drop()
    return None


def expected(command: str, code: int) -> str:
    """What RFC 5321, section 4.2.1, lets a reply mean, by its first digit."""
    if code // 100 == (3 if command == "DATA" else 2):
        return "sent"
    if code >= 400:
        return "refused"
    return "unknown" if command == "DOT" else "out of turn"


def outcome(refused: Refused | None) -> str:
    """What became of the message, in the words of `expected`."""
    if refused is None:
        return "sent"
    if refused.undecided:
        return "unknown"
    return "refused" if refused.reply else "out of turn"


@pytest.mark.parametrize("command", PHASES)
def test_ub1_every_code_is_judged_by_its_first_digit(script: Scripted, command: str) -> None:
    codes = CODES if command in {"RCPT", "DOT"} else CODES[::9]
    # A mechanism that goes on after its last line gets an answer that refuses it.
    results = {}
    for code in codes:
        script.play(**{command: USUAL[command].replace(USUAL[command][:3], b"%d" % code)})
        refused = relay(script.session())
        results[code] = outcome(refused)
        assert refused is None or refused.phase is PHASES[command]

    wanted = {code: expected(command, code) for code in codes}
    if command == "TOKEN":
        # 3yz asks for another line, to which this server says the same again.
        wanted = {code: "out of turn" if code // 100 == 3 else word for code, word in wanted.items()}
    assert results == wanted


@pytest.mark.parametrize("answer", [b"251 2.0.0 forwarded\r\n", b"252 queued\r\n", b"200 Ok\r\n", b"250\r\n"])
def test_ub1_any_2yz_after_the_final_dot_means_sent(script: Scripted, answer: bytes) -> None:
    script.play(DOT=answer)

    assert relay(script.session()) is None


@pytest.mark.parametrize(
    "answer",
    [
        b"garbage\r\n",
        b"25 ok\r\n",
        b"2500 ok\r\n",
        b"\r\n",
        b"250x\r\n",
        b"999 x\r\n",
        b"100 x\r\n",
        b"\xff\xfe\r\n",
    ],
)
def test_ub1_what_nobody_can_read_after_the_final_dot_leaves_the_outcome_unknown(
    script: Scripted, answer: bytes
) -> None:
    script.play(DOT=answer)

    refused = relay(script.session())

    assert refused is not None
    assert refused.undecided


@pytest.mark.parametrize(
    "answer",
    [b"250-queued\r\n250 done\r\n", b"250 \xc3\xa4\xff\r\n", b"250\n", b"250 " + b"x" * 5_000 + b"\r\n"],
    ids=["lines", "bytes", "bare line end", "long"],
)
def test_ub1_an_odd_but_clear_answer_means_sent(script: Scripted, answer: bytes) -> None:
    script.play(DOT=answer)

    assert relay(script.session()) is None


@pytest.mark.parametrize("command", ["CONNECT", "EHLO", "TOKEN", "MAIL", "RCPT", "DATA"])
def test_ub2_a_reply_that_came_before_its_command_is_no_answer_to_it(script: Scripted, command: str) -> None:
    early = b"".join(USUAL[later] for later in list(PHASES)[list(PHASES).index(command) + 1 :])
    script.play(**{command: USUAL[command] + (early or b"250 queued\r\n")})

    refused = relay(script.session())

    assert refused is not None
    assert not refused.undecided
    assert refused.verdict.diagnosis.code == "smtp_protocol"
    assert refused.verdict.passes
    assert "DOT" not in script.heard


def test_ub2_two_answers_to_the_final_dot_that_contradict_leave_the_outcome_unknown(script: Scripted) -> None:
    script.play(DOT=b"250 queued\r\n554 no\r\n")

    refused = relay(script.session())

    assert refused is not None
    assert refused.undecided


def test_ub2_a_farewell_after_the_answer_changes_nothing(script: Scripted) -> None:
    script.play(DOT=b"250 queued\r\n421 closing\r\n")

    assert relay(script.session()) is None


@pytest.mark.parametrize("command", PHASES)
@pytest.mark.parametrize("answer", [b"", b"2", b"250", b"250-ok\r\n", b"250 o"], ids=repr)
def test_ub2_an_answer_that_is_cut_is_none(script: Scripted, command: str, answer: bytes) -> None:
    script.play(**{command: answer.replace(b"250", USUAL[command][:3])})
    script.cuts = command

    refused = relay(script.session())

    assert refused is not None
    assert refused.reply is None
    assert refused.phase is PHASES[command]
    assert refused.undecided == (command == "DOT")
    assert refused.verdict.diagnosis.class_ is DiagnosisClass.RETRY


class Hands:
    """A clock that each octet of a slow server moves on."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def move(self) -> None:
        self.now += 1.0


@pytest.mark.parametrize("command", PHASES)
def test_ub3_a_reply_has_its_time_as_a_whole_however_it_trickles(script: Scripted, command: str) -> None:
    hands = Hands()
    script.play(
        **{command: USUAL[command][:3] + b"-x\r\n" * 1 + USUAL[command][:3] + b" " + b"x" * 200 + b"\r\n"}
    )
    script.trickles, script.before_octet = command, hands.move

    refused = relay(script.session(hands))

    assert refused is not None
    assert refused.phase is PHASES[command]
    assert refused.verdict.diagnosis.code == "smtp_timeout"
    assert refused.undecided == (command == "DOT")


def test_ub3_all_commands_together_have_only_the_time_that_was_allowed(script: Scripted) -> None:
    hands = Hands()
    script.trickles, script.before_octet = "RCPT", hands.move
    session = script.session(hands)
    session.connect()
    session.authenticate(Secret("token"))
    session.allow(3.5 * len(USUAL["RCPT"]))

    with pytest.raises(Refused) as caught:
        session.transfer(Envelope(USER, tuple(f"b{number}@example.net" for number in range(9))), BODY)

    assert caught.value.phase is Phase.RCPT
    assert caught.value.verdict.diagnosis.code == "smtp_timeout"
    assert script.heard.count("RCPT") == 4


def test_the_answer_to_the_final_dot_is_waited_for_even_when_the_time_is_over(script: Scripted) -> None:
    hands = Hands()
    session = script.session(hands)
    session.allow(10)
    session.connect()
    session.authenticate(Secret("token"))
    session.transfer(ENVELOPE, BODY)
    hands.now += 100

    assert session.commit().code == 250
    session.quit()


@pytest.mark.parametrize("command", PHASES)
def test_ub3_a_reply_that_comes_in_time_is_taken_octet_by_octet(script: Scripted, command: str) -> None:
    script.trickles = command

    assert relay(script.session()) is None


@pytest.mark.parametrize(
    "answer", [b"250-x\r\n" * 200 + b"250 x\r\n", b"250 " + b"x" * 20_000 + b"\r\n"], ids=["lines", "octets"]
)
def test_ub3_a_reply_has_a_bound_of_lines_and_octets(script: Scripted, answer: bytes) -> None:
    script.play(MAIL=answer)

    refused = relay(script.session())

    assert refused is not None
    assert refused.verdict.diagnosis.code == "smtp_protocol"
