"""A queue that goes on at key frames."""

from itertools import islice

from fakes import in_thread
from feeding import wait_until
from hypothesis import given
from hypothesis import strategies as st

from streamcolor.sinks.keyed import KeyedQueue


def groups(count, size=5):
    """(number, is_key) of groups of pictures."""
    return [(number, number % size == 0) for number in range(count * size)]


def put_all(queue, items):
    for item, is_key in items:
        queue.put(item, is_key=is_key)


def test_with_room_everything_arrives_in_order():
    queue = KeyedQueue(10)
    put_all(queue, groups(2))
    queue.close()
    assert list(queue) == list(range(10))
    assert queue.dropped == 0


def test_it_begins_with_a_key_frame():
    queue = KeyedQueue(10)
    put_all(queue, groups(2)[3:])
    queue.close()
    assert list(queue) == [5, 6, 7, 8, 9]


def test_when_full_it_forgets_the_past_and_goes_on_at_the_next_key_frame():
    queue = KeyedQueue(7)
    put_all(queue, groups(3))
    queue.close()
    assert list(queue) == [10, 11, 12, 13, 14]
    assert queue.dropped == 10


def test_closing_wakes_a_reader_that_waits():
    queue, got = KeyedQueue(3), []
    reader = in_thread(lambda: got.append(list(queue)))
    wait_until(reader.is_alive)
    queue.close()
    reader.join(10)
    assert got == [[]]


def test_closed_while_full_it_still_ends():
    queue = KeyedQueue(2)
    put_all(queue, groups(1)[:2])
    queue.closed = True  # as close() does before it says so in the queue
    queue.put(5, is_key=True)
    assert list(queue) == []


@given(st.lists(st.booleans()), st.lists(st.integers(0, 5)), st.integers(1, 6))
def test_what_comes_out_can_always_be_decoded_and_nothing_is_lost_uncounted(keys, reads, most):
    queue, got = KeyedQueue(most), []
    reader = iter(queue)
    queued = 0
    for number, is_key in enumerate(keys):
        queue.put(number, is_key=is_key)
        queued = queue._items.qsize()
        assert queued <= most
        got += islice(reader, min(reads[number] if number < len(reads) else 0, queued))
    queue.close()
    got += list(reader)
    assert got == sorted(got)
    assert all(keys[item] for item, before in zip(got, [-2, *got], strict=False) if item != before + 1)
    assert len(got) + queue.dropped == len(keys)
