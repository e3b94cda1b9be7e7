"""A headless Chromium, controlled by the WebDriver protocol: JSON over HTTP, without further libraries."""

import json
import shutil
import subprocess
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from socket import socket

DRIVER = shutil.which("chromedriver")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


class Browser:
    """One window."""

    def __init__(self, address, session):
        self.address, self.session = address, session

    def __call__(self, command, **values):
        return ask(f"{self.address}/session/{self.session}/{command}", values)

    def open(self, path, width=1280, height=900, dark=False):
        """Load a file, as a screen of this width shows it."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.tell("Emulation.setDeviceMetricsOverride", **size)
        self.tell("Emulation.setEmulatedMedia", features=scheme)
        self("url", url=Path(path).resolve().as_uri())

    def tell(self, command, **values):
        """Send a command in Chromium's own protocol."""
        return self("goog/cdp/execute", cmd=command, params=values)

    def run(self, script):
        """Return the result of a script."""
        return self("execute/sync", script=script, args=[])

    def logs(self):
        """Return the console messages and network requests since the last call."""
        console = [entry["message"] for entry in self("se/log", type="browser")]
        events = [json.loads(entry["message"])["message"] for entry in self("se/log", type="performance")]
        asked = [e["params"]["request"]["url"][:200] for e in events if e["method"] == "Network.requestWillBeSent"]
        return console, [url for url in asked if not url.startswith(("data:", "chrome:"))]


def ask(url, values=None):
    data = None if values is None else json.dumps(values).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)["value"]


@contextmanager
def browser(profile):
    """A browser with an empty profile; it is closed afterwards."""
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    driver = subprocess.Popen([DRIVER, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait(address)
        options = {"binary": CHROMIUM, "args": [*FLAGS, f"--user-data-dir={profile}"]}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}
        session = ask(f"{address}/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
        try:
            yield Browser(address, session)
        finally:
            urllib.request.urlopen(urllib.request.Request(f"{address}/session/{session}", method="DELETE"), timeout=60)
    finally:
        driver.terminate()
        driver.wait(timeout=30)


def wait(address):
    for _ in range(100):
        try:
            if ask(f"{address}/status")["ready"]:
                return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(address)
