"""The request box with names that are no identifiers, or mean something to JavaScript."""

from __future__ import annotations

import json
from typing import Any

from playwright.sync_api import Browser, Route, expect

from redraw_airflow.web import pages
from tests.publishing.asked_model import ODD

_SCRIPTS = pages.__file__.replace("pages.py", "static/{}")
_PAGE = """
<section data-trial="/place"><p data-refusal hidden></p><form data-request>
<fieldset data-controls disabled><select data-signature><option>a/b</option></select>
<div data-drawings></div><p data-takes></p><textarea data-inputs></textarea>
<button type="submit" data-ask>Ask</button><button type="button" data-example>Example</button></fieldset>
<p data-state></p><div data-answer></div></form></section>
"""
_NAMES = (*ODD, "__proto__", "toString")


def test_try_it_names_of_any_form_are_shown_sent_and_answered(chromium: Browser) -> None:
    spec = {"dtype": "float32", "shape": [None]}
    image = {"dtype": "uint8", "shape": [None, 8, 8]}
    example = {name: [place] for place, name in enumerate(_NAMES)} | {"größe": [[[0] * 8] * 8]}
    inputs = dict.fromkeys(_NAMES, spec) | {"größe": image}
    sent: list[Any] = []

    def answer(route: Route) -> None:
        if route.request.method == "POST":
            sent.append(json.loads(route.request.post_data or ""))
            outputs = {name: {**spec, "shape": [1], "values": [1.5]} for name in _NAMES}
            route.fulfill(json={"outputs": outputs, "seconds": 1, "load_seconds": 1, "fetched": False})
        elif route.request.url.endswith("/example"):
            route.fulfill(json={"signatures": {"a/b": {"inputs": inputs, "outputs": {}, "example": example}}})
        else:
            route.fulfill(body=_PAGE, content_type="text/html; charset=utf-8")

    page = chromium.new_page()
    page.route("**/*", answer)
    page.goto("http://pages.test/")
    for script in ("trial_values.js", "trial_drawing.js", "trial_answer.js", "trial.js"):
        page.add_script_tag(path=_SCRIPTS.format(script))
    expect(page.get_by_role("button", name="Ask")).to_be_enabled()
    # A picture that is inverted leaves the other inputs as they are.
    page.get_by_role("button", name="Invert").click()
    page.get_by_role("button", name="Ask").click()

    expect(page.locator("[data-answer] table")).to_have_count(len(_NAMES))
    assert sent == [{"signature": "a/b", "inputs": example | {"größe": [[[255] * 8] * 8]}}]
    captions = page.locator("[data-answer] caption").all_inner_texts()
    assert sorted(captions) == sorted(f"{name}: float32 [1]" for name in _NAMES)
    page.close()
