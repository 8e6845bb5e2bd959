"""Which detector and signal names mean a segment of a BSE detector. Names only, no files."""

from __future__ import annotations

import re

# Backscattered-electron detectors that come in segments or may be used as such.
_BSE = re.compile(
    r"(?i)^(n?ts[ -]?bsd|a?bsd\d*|bse[dt]?\w*|[4q]*qbsd\d*|asb\d*.*|4q.*|abs|cbs|dbs|mdb?|vcd|gad|r-?bse|lvbed.*|"
    r"pdbse.*|topo|sensebsd|hd-?bsd|cent\w*|ss-?bsd)$"
)
# Signals that are no segment: secondary electrons, in-lens and in-column detectors, sums over all segments.
_OTHER = re.compile(
    r"(?i)^(n?se[12i]?\d?|sei|lei|sed|se2|sesi|he-?se2|in-?lens.*|etd?|etd-.*|tld\d?|t[123]|icd|ice|lfd|lvd|gsed|"
    r"v?p?se.*|esb|uvd|ued|usd|mdse|inbeam.*|in-beam.*|stem.*|tem|df|bf|haadf|cl|ebic|eds|compo|all|sum|mix|"
    r"abs ?current|sc|ccd|nav-?cam)$"
)


def is_backscatter(name: str | None) -> bool:
    """True when a detector or signal name means backscattered electrons."""
    return bool(name) and _BSE.match(str(name).strip()) is not None


def is_other(name: str | None) -> bool:
    """True when a detector, signal or channel name means anything but a BSE segment."""
    return bool(name) and _OTHER.match(str(name).strip()) is not None


def is_segment(detector: str | None, signal: str | None, segment: str | None, channel: str) -> bool:
    """Decide whether a channel is a segment of a BSE detector.

    The detector counts first (in-lens detectors may call their signal BSE and have no segments), then the signal,
    then the name of the channel; a channel about which nothing is known is taken as a segment.
    """
    if is_other(detector) or is_other(segment):
        return False
    if is_backscatter(detector) or is_backscatter(signal):
        return True
    return not is_other(signal) and not is_other(channel)
