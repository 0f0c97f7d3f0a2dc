"""Transaction keys: what executes once, for whom, and for how long."""

from __future__ import annotations

import pytest

from gateway.domain.drafts import Appended, Refused, Repeated
from gateway.domain.errors import Kind
from gateway.domain.model import Scope
from gateway.store.base import Remembered
from tests.store.stage import Stage


@pytest.mark.parametrize("scope", [Scope.USER, Scope.GROUP])
async def test_a_repeat_gets_the_first_answer(stage: Stage, scope: Scope) -> None:
    """The same key of the same sender for the same content executes once."""
    group = await stage.group(1, 2)
    draft = stage.text(1, 2, 3, key="7", digest="d")
    if scope is Scope.GROUP:
        draft = await stage.group_text(1, group, key="7", digest="d")
    first = await stage.append(draft)
    assert isinstance(first, Appended)
    again = await stage.append(draft)
    assert again == Repeated(first.first_msg_id, first.first_msg_id + len(draft.targets) - 1)
    assert len([e for e in await stage.entries(2) if e.message]) == (1 if scope is Scope.USER else 0)


async def test_a_repeat_in_one_batch_executes_once(stage: Stage) -> None:
    """Also where the first is not committed yet, and its sender not even made."""
    draft = stage.text(1, 2, key="7", digest="d")
    first, second, other = await stage.store.append([draft, draft, stage.text(1, 2)])
    assert isinstance(first, Appended)
    assert second == Repeated(first.first_msg_id, first.first_msg_id)
    assert isinstance(other, Appended)
    assert len(await stage.entries(2)) == 2


async def test_keys_repeat_in_whatever_order_they_come(stage: Stage) -> None:
    """Those before, between and behind what is stored, in the order of bytes, of code points or of neither."""
    keys = ["5", "10", "9", "é", "\uffff", "\U00010000", "Z", "a", "~"]
    drafts = [stage.text(1 + number % 3, 9, key=key, digest="d") for number, key in enumerate(keys)]
    for number, draft in enumerate(drafts):
        assert isinstance(await stage.append(draft), Appended)
        for answer in await stage.store.append(drafts[: number + 1]):
            assert isinstance(answer, Repeated)


async def test_a_key_for_other_content_is_a_conflict(stage: Stage) -> None:
    """The same key with another digest is refused, in a later batch and in the same one."""
    first = stage.text(1, 2, key="7", digest="d")
    other = stage.text(1, 2, key="7", digest="e", content="other")
    conflict = Refused(Kind.TRANSACTION_CONFLICT, "transaction_id 7 was used for another message")
    assert (await stage.store.append([first, other]))[1] == conflict
    assert await stage.append(other) == conflict
    assert len(await stage.entries(2)) == 1


async def test_what_stands_with_a_digest_is_kept_and_not_compared(stage: Stage) -> None:
    """It is told of the first one, whatever its repeats have there: in the same batch, in a later one and alone."""
    first, same, other = [stage.text(1, 2, key="7", digest=digest) for digest in ("d .u", "d", "e .u")]
    answers = await stage.store.append([first, same, other])
    assert isinstance(answers[0], Appended)
    msg_id = answers[0].first_msg_id
    assert answers[1] == Repeated(msg_id, msg_id)
    assert isinstance(answers[2], Refused)
    assert await stage.append(same) == Repeated(msg_id, msg_id)
    assert await stage.store.transaction(stage.app.id, 1, "7") == Remembered("d .u", msg_id, msg_id)


async def test_a_repeat_is_known_after_a_restart(stage: Stage) -> None:
    """Keys are stored with the messages."""
    draft = stage.text(1, 2, key="7", digest="d")
    first = await stage.append(draft)
    assert isinstance(first, Appended)
    await stage.restart()
    assert await stage.append(draft) == Repeated(first.first_msg_id, first.first_msg_id)


async def test_a_repeat_outlives_the_reasons_to_refuse_it(stage: Stage) -> None:
    """A repeat is answered as the first was, though the group has changed since."""
    group = await stage.group(1, 2)
    draft = await stage.group_text(2, group, key="7", digest="d")
    first = await stage.append(draft)
    assert isinstance(first, Appended)
    await stage.kick(group, 2)
    assert isinstance(await stage.append(draft), Repeated)


async def test_a_refused_draft_leaves_its_key_free(stage: Stage) -> None:
    """Refusals are not recorded: the key may be used once the reason is gone."""
    await stage.user(1)
    draft = stage.text(1, 2, key="7", digest="d", create=False)
    assert isinstance(await stage.append(draft), Refused)
    await stage.user(2)
    assert isinstance(await stage.append(draft), Appended)


async def test_keys_are_each_senders_own(stage: Stage) -> None:
    """Two senders may use the same key."""
    for sender in (1, 3):
        assert isinstance(await stage.append(stage.text(sender, 2, key="7", digest="d")), Appended)


async def test_no_key_never_repeats(stage: Stage) -> None:
    """Without a key the same message twice is two messages."""
    answers = await stage.store.append([stage.text(1, 2), stage.text(1, 2)])
    assert all(isinstance(answer, Appended) for answer in answers)


async def test_a_transaction_is_found_by_its_key(stage: Stage) -> None:
    """It tells the digest and the ids it was answered by."""
    sent = await stage.send(1, 2, 3, key="7", digest="d")
    found = await stage.store.transaction(stage.app.id, 1, "7")
    assert found is not None
    assert (found.digest, found.first_msg_id, found.last_msg_id) == (
        "d",
        sent.first_msg_id,
        sent.first_msg_id + 1,
    )
    assert await stage.store.transaction(stage.app.id, 1, "8") is None
    assert await stage.store.transaction(stage.app.id, 2, "7") is None
