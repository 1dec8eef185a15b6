"""The page in a real browser: nothing is blocked by its own policy, nothing overflows, and it prints."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import cv2
import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")]


def browse(run: Any, profile: Path, *options: str) -> str:
    """Open the report without a network; returns what the browser wrote to its log."""
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"]
    command += ["--enable-logging=stderr", "--proxy-server=127.0.0.1:9", *options]
    page = f"file://{run.out / 'report' / 'report.html'}"
    return subprocess.run([*command, page], capture_output=True, text=True, timeout=120, check=True).stderr


def test_it_is_drawn_and_its_policy_blocks_nothing(run: Any, tmp_path: Path) -> None:
    shot = tmp_path / "page.png"
    log = browse(run, tmp_path, f"--screenshot={shot}", "--window-size=1280,3000", "--hide-scrollbars")
    assert "Content Security Policy" not in log
    image = cv2.imread(str(shot))
    assert image.shape[:2] == (3000, 1280)
    assert (
        image[:40, :, 0].mean() < 240 < image[:40, :, 2].mean()
    )  # the strip that says PHANTOM DATA is yellow
    assert image[1500:].std() > 20


def test_it_prints(run: Any, tmp_path: Path) -> None:
    printed = tmp_path / "page.pdf"
    browse(run, tmp_path, f"--print-to-pdf={printed}", "--no-pdf-header-footer")
    assert printed.read_bytes().startswith(b"%PDF")
    assert printed.stat().st_size > 50_000
