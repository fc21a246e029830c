"""What queues promise: nothing lost, nothing reordered, nobody left waiting."""

import threading
import time
from queue import Empty

import pytest
from fakes import in_thread, picture
from hypothesis import given, settings
from hypothesis import strategies as st

from streamcolor.channel import AHEAD, Batcher, Channel, Closed, WhenFull

pytestmark = pytest.mark.timeout(20)

FOREVER = 3600.0  # seconds; a test that waits this long has failed


def joined(*streams, size=8, wait=FOREVER, depth=4, when_full=WhenFull.WAIT):
    batcher = Batcher(size, wait, depth)
    for stream in streams:
        batcher.join(stream, when_full)
    return batcher


def waits(thread):
    """Whether `thread` is still blocked after ample time to do its work."""
    thread.join(0.05)
    return thread.is_alive()


class TestChannel:
    def test_items_come_out_in_the_order_they_went_in(self):
        channel = Channel(4, WhenFull.WAIT)
        assert all(channel.put(number) for number in range(4))
        channel.close()
        assert list(channel) == [0, 1, 2, 3]

    def test_nothing_can_be_put_into_a_closed_channel(self):
        channel = Channel(4, WhenFull.WAIT)
        channel.close()
        assert not channel.put(1)
        assert not channel.put_admitted(1)
        assert list(channel) == []

    def test_discarding_forgets_what_is_queued_and_says_so(self):
        channel = Channel(4, WhenFull.WAIT)
        channel.put(1)
        channel.close(discard=True)
        assert list(channel) == []
        assert channel.cut

    def test_a_plain_close_cuts_nothing(self):
        channel = Channel(4, WhenFull.WAIT)
        channel.close()
        assert not channel.cut

    def test_a_full_channel_makes_its_writer_wait(self):
        channel = Channel(1, WhenFull.WAIT)
        channel.put(0)
        writer = in_thread(channel.put, 1)
        assert waits(writer)
        items = iter(channel)
        assert (next(items), next(items)) == (0, 1)
        writer.join()

    def test_a_full_live_channel_drops_its_oldest(self):
        channel = Channel(2, WhenFull.DROP_OLDEST)
        for number in range(5):
            channel.put(number)
        channel.close()
        assert list(channel) == [3, 4]
        assert channel.dropped == 3

    @pytest.mark.parametrize("when_full", WhenFull)
    def test_admitted_items_neither_wait_nor_count_nor_drop(self, when_full):
        channel = Channel(1, when_full)
        for number in range(5):
            channel.put_admitted(number)
        assert channel.put("bounded")
        channel.put_admitted(5)
        channel.close()
        assert list(channel) == [0, 1, 2, 3, 4, "bounded", 5]
        assert channel.dropped == 0

    def test_only_counted_items_are_dropped(self):
        channel = Channel(1, WhenFull.DROP_OLDEST)
        for item in ("frame", "old packet"):
            (channel.put_admitted if item == "frame" else channel.put)(item)
        channel.put("new packet")
        channel.close()
        assert list(channel) == ["frame", "new packet"]

    @pytest.mark.parametrize("discard", [False, True])
    def test_closing_wakes_a_waiting_writer(self, discard):
        channel = Channel(1, WhenFull.WAIT)
        channel.put(0)
        answers = []
        writer = in_thread(lambda: answers.append(channel.put(1)))
        assert waits(writer)
        channel.close(discard=discard)
        writer.join()
        assert answers == [False]

    def test_closing_wakes_a_waiting_reader(self):
        channel = Channel(1, WhenFull.WAIT)
        reader = in_thread(lambda: list(channel))
        assert waits(reader)
        channel.close()
        reader.join()

    def test_one_item_can_be_asked_for_with_a_limit_of_time(self):
        channel = Channel(1, WhenFull.WAIT)
        with pytest.raises(Empty):
            channel.get(0.01)
        channel.put("item")
        writer = in_thread(channel.put, "next")
        assert channel.get(10) == "item"
        assert channel.get() == "next"
        writer.join()

    def test_asking_a_closed_channel_gives_what_is_left_and_then_the_end(self):
        channel = Channel(2, WhenFull.WAIT)
        channel.put("last")
        channel.close()
        assert channel.get(0) == "last"
        for seconds in (0, None):
            with pytest.raises(Closed):
                channel.get(seconds)

    def test_closing_ends_the_waiting_for_one_item(self):
        channel, ends = Channel(1, WhenFull.WAIT), []

        def read():
            try:
                channel.get()
            except Closed:
                ends.append("closed")

        reader = in_thread(read)
        assert waits(reader)
        channel.close()
        reader.join()
        assert ends == ["closed"]

    @settings(max_examples=20, deadline=None)
    @given(st.lists(st.booleans(), max_size=60), st.integers(1, 5))
    def test_everything_arrives_in_order_whatever_the_mix(self, kinds, capacity):
        channel = Channel(capacity, WhenFull.WAIT)

        def write():
            for number, admitted in enumerate(kinds):
                assert (channel.put_admitted if admitted else channel.put)(number)
            channel.close()

        in_thread(write)
        assert list(channel) == list(range(len(kinds)))


class TestBatcherNeverWaitsInVain:
    """With an endless waiting time, each of these hangs if the batcher waits for company at all."""

    def test_a_lone_stream_has_nobody_to_wait_for(self):
        batcher = joined("a")
        batcher.put(picture("a"))
        assert len(next(iter(batcher))[0]) == 1

    def test_nobody_is_waited_for_when_every_stream_has_a_frame(self):
        batcher = joined("a", "b")
        batcher.put(picture("a"))
        batcher.put(picture("b"))
        assert [frame.stream for frame in next(iter(batcher))[0]] == ["a", "b"]

    @pytest.mark.parametrize(("when_full", "taken"), [(WhenFull.WAIT, 2), (WhenFull.DROP_OLDEST, 1)])
    def test_a_batch_goes_at_once_when_a_queue_is_full(self, when_full, taken):
        batcher = joined("a", "b", depth=2, when_full=when_full)
        batcher.put(picture("a", 0))
        batcher.put(picture("a", 1))
        assert len(next(iter(batcher))[0]) == taken

    def test_a_batch_goes_at_once_when_it_is_full(self):
        batcher = joined("a", "b", size=2)
        batcher.put(picture("a", 0))
        batcher.put(picture("a", 1))
        assert len(next(iter(batcher))[0]) == 2

    def test_a_stream_that_is_leaving_is_not_kept_waiting(self):
        batcher = joined("a", "b")
        batcher.put(picture("a"))
        batcher.leave("a")
        frames, over = next(iter(batcher))
        assert len(frames) == 1
        assert over == ["a"]

    def test_nobody_waits_without_a_waiting_time(self):
        batcher = joined("a", "b", wait=0.0)
        batcher.put(picture("a"))
        assert len(next(iter(batcher))[0]) == 1

    def test_a_stream_whose_sink_is_behind_is_not_waited_for(self):
        batcher = joined("a", "b", depth=1)
        batcher.put(picture("b"))
        batcher.put(picture("a"))
        batches = iter(batcher)
        next(batches)  # b's sink has its one frame now and does not write it
        batcher.put(picture("a", 1))
        batcher.written("a")
        assert [frame.stream for frame in next(batches)[0]] == ["a"]


class TestBatcherWaitsForCompany:
    def test_a_frame_waits_its_time_for_an_absent_stream(self):
        batcher = joined("a", "b", wait=0.05)
        batcher.put(picture("a"))
        began = time.monotonic()
        assert len(next(iter(batcher))[0]) == 1
        assert time.monotonic() - began >= 0.05

    def test_a_frame_of_the_absent_stream_ends_the_waiting(self):
        batcher = joined("a", "b")
        batcher.put(picture("a"))
        got = []
        taker = in_thread(lambda: got.append(next(iter(batcher))[0]))
        assert waits(taker)
        batcher.put(picture("b"))
        taker.join()
        assert [frame.stream for frame in got[0]] == ["a", "b"]

    def test_a_stuck_sink_does_not_end_the_waiting_of_others(self):
        batcher = joined("stuck", depth=2)
        batches = iter(batcher)
        for pts in range(4):
            batcher.put(picture("stuck", pts))
            if pts == 1:
                assert len(next(batches)[0]) == 2  # never written: what follows fills the queue for good
        for stream in ("a", "b"):
            batcher.join(stream, WhenFull.WAIT)
        batcher.put(picture("a"))
        taker = in_thread(next, batches)
        assert waits(taker)
        batcher.put(picture("b"))
        taker.join()


class TestBatcher:
    @settings(max_examples=30, deadline=None)
    @given(st.lists(st.integers(0, 30), min_size=1, max_size=5), st.integers(1, 9), st.integers(1, 6))
    def test_nothing_is_lost_or_reordered(self, counts, size, depth):
        streams = {str(number): count for number, count in enumerate(counts)}
        batcher = joined(*streams, size=size, depth=depth, wait=0.001)

        def read(stream):
            for pts in range(streams[stream]):
                assert batcher.put(picture(stream, pts))
            batcher.leave(stream)

        for stream in streams:
            in_thread(read, stream)
        got = {stream: [] for stream in streams}
        ended = set()
        for frames, over in batcher:
            assert len(frames) <= size
            for frame in frames:
                assert frame.stream not in ended
                got[frame.stream].append(frame.pts)
                batcher.written(frame.stream)
            ended.update(over)
            if len(ended) == len(streams):
                batcher.close()
        assert got == {stream: list(range(count)) for stream, count in streams.items()}

    def test_no_stream_starves_when_there_are_more_streams_than_places(self):
        served = dict.fromkeys(map(str, range(20)), 0)
        batcher = joined(*served, size=4, depth=2, when_full=WhenFull.DROP_OLDEST)
        batches = iter(batcher)
        for pts in range(50):
            for stream in served:
                batcher.put(picture(stream, pts))
            for frame in next(batches)[0]:
                served[frame.stream] += 1
                batcher.written(frame.stream)
        assert max(served.values()) - min(served.values()) <= 1

    def test_the_last_frames_and_the_end_come_together(self):
        batcher = joined("a")
        batcher.put(picture("a"))
        batcher.leave("a")
        frames, over = next(iter(batcher))
        assert len(frames) == 1
        assert over == ["a"]

    def test_the_end_of_an_empty_stream_is_told_once(self):
        batcher = joined("a")
        batcher.leave("a")
        batcher.leave("a")
        assert next(iter(batcher)) == ([], ["a"])
        batcher.leave("a")
        assert not batcher._something()

    def test_a_stream_with_frames_for_a_slow_sink_is_not_over(self):
        batcher = joined("a", depth=1)
        batches = iter(batcher)
        batcher.put(picture("a", 0))
        assert next(batches)[1] == []
        batcher.put(picture("a", 1))
        batcher.leave("a")
        got = []
        taker = in_thread(lambda: got.extend(next(batches)))
        assert waits(taker)
        batcher.written("a")
        taker.join()
        assert [frame.pts for frame in got[0]] == [1]
        assert got[1] == ["a"]

    def test_a_full_file_queue_makes_its_reader_wait(self):
        batcher = joined("a", depth=1)
        batcher.put(picture("a", 0))
        reader = in_thread(batcher.put, picture("a", 1))
        assert waits(reader)
        next(iter(batcher))
        reader.join()

    def test_a_full_live_queue_drops_its_oldest_before_it_costs_anything(self):
        batcher = Batcher(4, FOREVER, 2)
        lane = batcher.join("a", WhenFull.DROP_OLDEST)
        for pts in range(5):
            batcher.put(picture("a", pts))
        assert [frame.pts for frame in next(iter(batcher))[0]] == [4], "the newest frame wins"
        assert lane.dropped == 4

    def test_no_more_live_frames_than_its_sink_needs_are_ahead_of_the_newest(self):
        batcher = joined("a", depth=6, when_full=WhenFull.DROP_OLDEST)
        batches = iter(batcher)
        for pts in range(AHEAD):
            batcher.put(picture("a", pts))
            assert len(next(batches)[0]) == 1
        for pts in range(AHEAD, 9):
            batcher.put(picture("a", pts))
        got = []
        taker = in_thread(lambda: got.extend(next(batches)[0]))
        assert waits(taker)
        batcher.written("a")
        taker.join()
        assert [frame.pts for frame in got] == [8]

    def test_frames_nobody_has_room_for_are_not_taken(self):
        batcher = joined("stuck", "fine", depth=2, wait=0.0)
        batches = iter(batcher)
        for pts in range(6):
            for stream in ("stuck", "fine"):
                if len(batcher._lanes[stream].queue) < 2:
                    batcher.put(picture(stream, pts))
            for frame in next(batches)[0]:
                if frame.stream == "fine":
                    batcher.written("fine")
        assert batcher._lanes["stuck"].inside == 2
        assert len(batcher._lanes["stuck"].queue) == 2
        assert not batcher._lanes["fine"].queue

    def test_nothing_can_be_put_after_leaving_or_closing_or_without_joining(self):
        batcher = joined("a", "b")
        batcher.leave("a")
        assert not batcher.put(picture("a"))
        assert not batcher.put(picture("unknown"))
        batcher.close()
        assert not batcher.put(picture("b"))

    @pytest.mark.parametrize("end", [Batcher.close, lambda batcher: batcher.leave("a", discard=True)])
    def test_an_end_wakes_a_waiting_reader(self, end):
        batcher = joined("a", depth=1)
        batcher.put(picture("a"))
        answers = []
        reader = in_thread(lambda: answers.append(batcher.put(picture("a", 1))))
        assert waits(reader)
        end(batcher)
        reader.join()
        assert answers == [False]

    def test_closing_ends_the_batches_even_while_they_wait_for_company(self):
        batcher = joined("a", "b")
        batcher.put(picture("a"))
        got = []
        taker = in_thread(lambda: got.extend(batcher))
        assert waits(taker)
        batcher.close()
        taker.join()
        assert got == []

    def test_a_discarded_stream_is_over_at_once(self):
        batcher = joined("a", depth=1)
        batches = iter(batcher)
        batcher.put(picture("a", 0))
        next(batches)
        batcher.put(picture("a", 1))
        batcher.leave("a", discard=True)  # its sink is dead and will never make room
        assert next(batches) == ([], ["a"])

    def test_a_name_is_used_once(self):
        batcher = joined("a")
        with pytest.raises(AssertionError):
            batcher.join("a", WhenFull.WAIT)

    def test_at_most_twice_the_depth_is_alive(self):
        batcher = joined("a", depth=3, size=2)
        taken, put = [], threading.Semaphore(0)

        def read():
            for pts in range(100):
                batcher.put(picture("a", pts))
                put.release()

        in_thread(read)
        batches = iter(batcher)
        while len(taken) < 3:
            taken.extend(next(batches)[0])
        for _ in range(6):
            assert put.acquire(timeout=5)
        assert not put.acquire(timeout=0.05)  # the seventh waits
        batcher.close()
