"""Receiver reports (RFC 3550)."""

from aiortc.rtp import RtcpPacket, RtcpRrPacket, RtcpRtpfbPacket

from fieldcoach.ingest.rtcp import MAX_LOST, ReceptionStatistics, nack_packet


def test_before_the_first_packet_there_is_nothing_to_report() -> None:
    assert ReceptionStatistics(1).report(0.0) is None


def test_the_highest_sequence_number_has_its_cycles() -> None:
    statistics = ReceptionStatistics(7)
    for number in range(65_500, 65_600):
        statistics.add(number & 0xFFFF, number * 960, number * 0.02)
    report = statistics.report(2_000.0)
    assert report is not None
    assert (report.ssrc, report.highest_sequence, report.packets_lost) == (7, 65_599, 0)
    assert report.fraction_lost == 0
    assert report.jitter <= 1


def test_losses_are_told_as_a_fraction_of_the_interval() -> None:
    statistics = ReceptionStatistics(1)
    for number in range(100):
        statistics.add(number, number * 960, number * 0.02)
    statistics.report(2.0)
    for number in range(100, 200, 2):
        statistics.add(number, number * 960, number * 0.02)
    report = statistics.report(4.0)
    assert report is not None
    assert 120 < report.fraction_lost < 130
    assert report.packets_lost == 49
    again = statistics.report(5.0)
    assert again is not None
    assert again.fraction_lost == 0


def test_copies_make_the_loss_negative_and_reordering_does_not() -> None:
    statistics = ReceptionStatistics(1)
    for number in (5, 7, 6, 6, 6):
        statistics.add(number, number * 960, number * 0.02)
    report = statistics.report(1.0)
    assert report is not None
    assert (report.highest_sequence, report.packets_lost, report.fraction_lost) == (7, -2, 0)
    assert MAX_LOST == 2**23 - 1


def test_jitter_is_the_smoothed_change_of_transit() -> None:
    statistics = ReceptionStatistics(1)
    for number in range(500):
        statistics.add(number, (number * 960 + 2**32 - 1_000) % 2**32, number * 0.02 + 0.01 * (number % 2))
    report = statistics.report(20.0)
    assert report is not None
    assert 400 < report.jitter < 490


def test_the_senders_clock_comes_back_with_the_delay() -> None:
    statistics = ReceptionStatistics(1)
    statistics.add(1, 1, 0.0)
    statistics.sender_report(0x0123_4567_89AB_CDEF, 10.0)
    report = statistics.report(10.5)
    assert report is not None
    assert (report.lsr, report.dlsr) == (0x4567_89AB, 32_768)


def test_a_nack_names_what_was_lost_also_over_the_wrap() -> None:
    lost = [65_534, 65_535, 0, 14, 15, 100]
    report, nack = RtcpPacket.parse(nack_packet(7, 9, lost))
    assert isinstance(report, RtcpRrPacket)
    assert (report.ssrc, report.reports) == (7, [])
    assert isinstance(nack, RtcpRtpfbPacket)
    assert (nack.fmt, nack.ssrc, nack.media_ssrc) == (1, 7, 9)
    assert [number & 0xFFFF for number in nack.lost] == lost  # aiortc does not wrap them
