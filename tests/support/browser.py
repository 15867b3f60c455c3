"""Headless Chromium, controlled through a DevTools protocol pipe; requires nothing but Chromium itself."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
WAIT_SECONDS = 60.0
# Chromium reads commands from descriptor 3 and writes responses to descriptor 4.
LAUNCH = """import os, sys
reads, writes = (os.dup(int(fd)) for fd in sys.argv[1:3])
while min(reads, writes) < 5: reads, writes = os.dup(reads), os.dup(writes)
os.dup2(reads, 3); os.dup2(writes, 4)
os.execv(sys.argv[3], sys.argv[3:])"""
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
         "--disable-background-networking", "--disable-extensions", "--disable-component-update",
         "--remote-debugging-pipe")  # fmt: skip


class Browser:
    """A browser with one tab.

    Attributes:
        complaints: Console errors, such as violations of the content security policy.
    """

    def __init__(self, profile: Path) -> None:
        assert CHROMIUM is not None
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-c", LAUNCH, str(theirs_in), str(theirs_out), CHROMIUM, *FLAGS,
             f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(theirs_in, theirs_out), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(theirs_in)
        os.close(theirs_out)
        self._received, self._count, self._session = b"", 0, None
        self.complaints: list[str] = []
        try:
            target = self.command("Target.createTarget", url="about:blank")["targetId"]
            attached = self.command("Target.attachToTarget", targetId=target, flatten=True)
            self._session = attached["sessionId"]
            for domain in ("Page", "Runtime", "Log"):
                self.command(f"{domain}.enable")
        except BaseException:
            self.close()
            raise

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Sends a command and waits for its result."""
        self._count += 1
        said: dict[str, Any] = {"id": self._count, "method": method, "params": parameters}
        if self._session is not None:
            said["sessionId"] = self._session
        os.write(self._out, json.dumps(said).encode() + b"\0")
        while (answer := self._next()).get("id") != self._count:
            self._note(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def open(self, address: str) -> None:
        """Navigates to a page, as if its address had been typed."""
        self.command("Page.navigate", url=address)

    def run(self, script: str) -> Any:
        """Evaluates an expression in the page and returns its value."""
        result = self.command(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def until(self, script: str) -> None:
        """Waits until an expression is true."""
        ends = time.monotonic() + WAIT_SECONDS
        while not self._holds(script):
            assert time.monotonic() < ends, f"never became true: {script}"
            time.sleep(0.05)

    def screenshot(self, path: Path) -> None:
        """Saves a PNG screenshot of the page."""
        path.write_bytes(base64.b64decode(self.command("Page.captureScreenshot")["data"]))

    def close(self) -> None:
        """Terminates the browser."""
        self._process.terminate()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._out)
        os.close(self._in)

    def _holds(self, script: str) -> bool:
        # During navigation, the page has no elements.
        guarded = f"(() => {{ try {{ return Boolean({script}); }} catch {{ return false; }} }})()"
        return bool(self.run(guarded))

    def _next(self) -> dict[str, Any]:
        ends = time.monotonic() + WAIT_SECONDS
        while b"\0" not in self._received:
            ready, _, _ = select.select([self._in], [], [], max(0.0, ends - time.monotonic()))
            assert ready, "the browser does not respond"
            more = os.read(self._in, 1 << 16)
            assert more, "the browser has exited"
            self._received += more
        message, self._received = self._received.split(b"\0", 1)
        return json.loads(message)

    def _note(self, event: dict[str, Any]) -> None:
        parameters = event.get("params", {})
        if event.get("method") == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            entry = parameters["entry"]
            self.complaints.append(f"{entry['text']} {entry.get('url', '')}")
        if event.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(parameters["exceptionDetails"]["text"])
