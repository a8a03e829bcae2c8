"""JupyterLab in a real browser: notebooks are opened, cells are run, and the page is looked at."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
from nbformat import v4
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

__all__ = ["Lab", "Page", "eventually", "lab"]

BROWSER = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run"
    " --disable-background-networking --disable-component-update --disable-sync"
    " --disable-dev-shm-usage --window-size=1000,900"
)
SERVER = {
    "ServerApp.token": "",
    "ServerApp.password": "",
    "ServerApp.ip": "127.0.0.1",
    "ServerApp.port": "0",
    "LabApp.expose_app_in_browser": "True",
    "JupyterNotebookApp.expose_app_in_browser": "True",
    "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
}


def eventually(check: Callable[[], Any], seconds: float = 30, what: str = "") -> Any:
    """What the check gives, once that is true; looks at the page again and again."""
    end = time.monotonic() + seconds
    while True:
        found = check()
        if found:
            return found
        assert time.monotonic() < end, what or f"not within {seconds} s"
        time.sleep(0.05)


class Page:
    """One notebook in the browser."""

    def __init__(self, driver: Any, path: Path) -> None:
        self.driver = driver
        self.path = path

    def do(self, command: str) -> None:
        """Runs a command of JupyterLab, and waits for nothing."""
        self.driver.execute_script("window.jupyterapp.commands.execute(arguments[0])", command)

    def run_next(self) -> None:
        """Runs the active cell; the next one is the active one then."""
        self.do("notebook:run-cell-and-select-next")

    def run(self, index: int) -> None:
        """Runs a cell; a click into an output has perhaps made another one active."""
        script = "window.jupyterapp.shell.currentWidget.content.activeCellIndex = arguments[0]"
        self.driver.execute_script(script, index)
        self.do("notebook:run-cell")

    def cell(self, index: int) -> Any:
        """The element of a code cell."""
        return self.driver.find_elements(By.CSS_SELECTOR, ".jp-CodeCell")[index]

    def text(self, index: int) -> str:
        """The text of a cell's output, folded parts included."""
        script = (
            "const cell = document.querySelectorAll('.jp-CodeCell')[arguments[0]];"
            "return [...cell.querySelectorAll('.jp-OutputArea-output')]"
            ".map(one => one.textContent).join('\\n')"
        )
        return str(self.driver.execute_script(script, index))

    def prompt(self, index: int) -> str:
        """The number before a cell, ``[*]:`` while it runs."""
        return str(self.cell(index).find_element(By.CSS_SELECTOR, ".jp-InputPrompt").text)

    def ran(self, index: int, seconds: float = 30) -> None:
        """Waits until a cell has been executed."""
        eventually(
            lambda: self.prompt(index).strip("[]:").strip().isdigit(),
            seconds,
            f"cell {index} runs",
        )

    def button(self, index: int, text: str) -> Any:
        """A button in a cell's output that can be pressed."""
        path = f".//button[normalize-space()={json.dumps(text)}]"
        return eventually(
            lambda: next(
                (
                    one
                    for one in self.cell(index).find_elements(By.XPATH, path)
                    if one.is_displayed() and one.is_enabled()
                ),
                None,
            ),
            what=f"no button {text}",
        )

    def press(self, index: int, text: str) -> None:
        """Presses a button until it is gone: a first click may come before clicks are heard."""
        before = self.button(index, text)

        def gone() -> bool:
            try:
                before.click()
            except WebDriverException:
                return True
            time.sleep(1)
            return False

        eventually(gone, 60, f"button {text} stays")

    def line_for_input(self, index: int) -> Any:
        """The line for input in a cell's output."""

        def lines() -> list[Any]:
            return list(self.cell(index).find_elements(By.CSS_SELECTOR, ".jp-Stdin input"))

        return eventually(lines, what="nobody is asked")[0]

    def press_stop(self) -> None:
        """Presses the button in the toolbar."""
        selector = (
            "[data-jp-item-name='interrupt'] jp-button, [data-jp-item-name='interrupt'] button"
        )
        self.driver.find_element(By.CSS_SELECTOR, selector).click()

    def saved(self) -> Any:
        """Saves the notebook, and reads the file."""
        before = self.path.stat().st_mtime_ns
        self.do("docmanager:save")
        eventually(
            lambda: (
                self.path.stat().st_mtime_ns != before and self.path.read_text().endswith("}\n")
            ),
            what="it was not saved",
        )
        return nbformat.read(self.path, as_version=4)

    def screenshot(self, name: str) -> None:
        """Keeps a picture of the window, where LETTA_SCREENSHOTS names a folder."""
        folder = os.environ.get("LETTA_SCREENSHOTS")
        if folder:
            self.driver.save_screenshot(str(Path(folder) / f"{name}.png"))


class Lab:
    """A running JupyterLab with a browser."""

    def __init__(self, url: str, folder: Path, driver: Any) -> None:
        self._url = url
        self._folder = folder
        self.driver = driver

    def open(self, name: str, *cells: str, front_end: str = "lab") -> Page:
        """Opens a new notebook with these cells, whose kernel is ready; in Lab or in Notebook 7."""
        path = self._folder / f"{name}.ipynb"
        notebook = v4.new_notebook(cells=[v4.new_code_cell(text) for text in cells])
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
        nbformat.write(notebook, path)
        place = {"lab": f"lab/workspaces/{name}/tree", "notebook": "notebooks"}[front_end]
        self.driver.get(f"{self._url}{place}/{path.name}")
        page = Page(self.driver, path)
        ready = (
            "const context = window.jupyterapp?.shell.currentWidget?.sessionContext;"
            "const kernel = context?.session?.kernel;"
            "return !!context?.isReady && kernel?.connectionStatus === 'connected'"
            " && kernel.status === 'idle'"
        )
        eventually(
            lambda: (
                len(self.driver.find_elements(By.CSS_SELECTOR, ".jp-CodeCell")) == len(cells)
                and self.driver.execute_script(ready)
            ),
            60,
            "the notebook does not open",
        )
        if front_end == "lab":
            page.do("application:toggle-left-area")
        return page


@contextlib.contextmanager
def lab(folder: Path) -> Iterator[Lab]:
    """Starts both, and ends them."""
    runtime = folder / "runtime"
    runtime.mkdir()
    home = folder / "home"
    home.mkdir()
    root = folder / "notebooks"
    root.mkdir()
    # Nobody is to be asked about news.
    settings = home / ".jupyter/lab/user-settings/@jupyterlab/apputils-extension"
    settings.mkdir(parents=True)
    quiet = {"fetchNews": "false", "checkForUpdates": False}
    (settings / "notification.jupyterlab-settings").write_text(json.dumps(quiet))
    arguments = [f"--{name}={value}" for name, value in SERVER.items()]
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", *arguments]
    environment = {
        **os.environ,
        "JUPYTER_RUNTIME_DIR": str(runtime),
        "HOME": str(home),
    }
    log = (folder / "lab.log").open("w")
    with subprocess.Popen(
        [*command, f"--ServerApp.root_dir={root}"], env=environment, stdout=log, stderr=log
    ) as server:
        try:
            (found,) = eventually(lambda: list(runtime.glob("jpserver-*.json")), 60, "no server")
            info = eventually(lambda: json.loads(found.read_text() or "null"))
            options = Options()
            options.binary_location = os.environ.get("CHROMIUM", "/usr/bin/chromium")
            for argument in [*BROWSER.split(), f"--user-data-dir={folder / 'browser'}"]:
                options.add_argument(argument)
            service = Service(os.environ.get("CHROMEDRIVER", "/usr/bin/chromedriver"))
            driver = webdriver.Chrome(options=options, service=service)
            try:
                yield Lab(info["url"], root, driver)
            finally:
                driver.quit()
        finally:
            server.terminate()
            log.close()
