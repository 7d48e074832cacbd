import json
import re

import pytest

from dunrestore.reports.restore_page import Entry, Page, Views, render

NASTY = "</script><script>alert(1)</script>\"'&<b>.png"


def entry(title, status="restored", **more):
    pixel = "data:image/gif;base64,R0lGODlhAQABAAAAACw="
    views = Views(pixel, pixel, pixel, f"in/{title}", f"out/{title}", 40, 30)
    if status == "failed":
        return Entry(title, "failed", error="it is broken")
    return Entry(title, status, views=views, thumbnails=(pixel, pixel), **more)


def page(*entries):
    return render(Page("A run", {"model": NASTY}, entries))


def test_failures_and_warnings_come_first_then_what_changed_most():
    html = page(
        entry("little", changed_percent=1.0),
        entry("much", changed_percent=20.0),
        entry("nothing", changed_percent=0.0),
        entry("odd", changed_percent=2.0, warnings=["look at me"]),
        entry("broken", "failed"),
    )
    titles = re.findall(r"<h2>(.*?)</h2>", html)
    assert titles == ["broken", "odd", "much", "little", "nothing"]
    counts = dict(re.findall(r'data-filter="(\w+)".*?<span>(\d+)</span>', html))
    assert counts == {"all": "5", "warned": "1", "failed": "1", "changed": "3", "untouched": "1"}


def test_names_cannot_break_out_of_the_page():
    html = page(entry(NASTY, changed_percent=1.0, warnings=[NASTY]), Entry(NASTY, "failed"))
    assert html.count("<script") == 2
    assert html.count("</script>") == 2
    assert "alert(1)</script>" not in html
    (embedded,) = re.findall(r'id="pictures">(.*?)</script>', html)
    assert json.loads(embedded)[1]["input"] == f"in/{NASTY}"


def test_the_page_needs_nothing_from_elsewhere():
    html = page(entry("a", changed_percent=1.0))
    assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//|@import|url\(""", html)


@pytest.mark.parametrize(("percent", "kind"), [(0.0, "untouched"), (1e-5, "changed")])
def test_kinds(percent, kind):
    assert entry("a", changed_percent=percent).kinds == (kind,)
