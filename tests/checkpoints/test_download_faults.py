"""Whatever the network does: a whole, proven file under its name, or none and a reason."""

import hashlib
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from dunrestore.checkpoints import transfer
from tests.checkpoints.faulty_server import Page, Site

DATA = Path(__file__).parent.parent / "data"
PAGE = b"<!DOCTYPE html><html><body>Sign in to the guest network</body></html>"


def test_a_download_is_whole_and_usable(shop, page, assert_whole):
    assert_whole(shop.pull())
    assert len(page.asked) == 1
    assert "Range" not in page.asked[0]


def test_what_is_here_is_not_fetched_again(shop, page, assert_whole):
    assert_whole(shop.pull())
    assert_whole(shop.pull())
    assert len(page.asked) == 1


def test_another_file_in_the_catalogue_is_no_reason_to_go_on_with_the_old_one(
    shop, site, page, assert_whole
):
    assert_whole(shop.pull())
    old = shop.final.read_bytes()
    other = old[:-4] + bytes(4)
    site.pages["/new.safetensors"] = Page(other)
    shop.offer(
        sha256=hashlib.sha256(other).hexdigest(),
        urls=[f"{site.url}/new.safetensors"],
    )
    refused = shop.pull()
    assert refused.code == 8
    assert "m: the catalogue now names another file" in refused.err
    assert "--accept-changed` replaces it" in refused.err
    assert shop.final.read_bytes() == old
    assert shop.pull("--accept-changed").code == 0
    assert shop.final.read_bytes() == other
    assert shop.pull().code == 0


def test_an_architecture_that_there_is_not_is_refused_before_anything_is_fetched(
    shop, page, assert_refused
):
    shop.offer(architecture="hinnet")
    assert_refused(shop.pull(), "of the architecture 'hinnet', which there is not")


@pytest.mark.parametrize("cut", [0, 1, 500, 40_000, 70_001, -1])
def test_a_connection_cut_at_any_byte_is_continued(shop, page, assert_whole, cut, model_bytes):
    page.cuts = (cut % len(model_bytes), None)
    assert_whole(shop.pull())
    assert len(page.asked) == 2
    if cut % len(model_bytes) > 40_000:
        assert page.asked[1]["Range"].startswith("bytes=")
        assert page.asked[1]["If-Range"] == '"one"'


def test_many_cuts_are_survived_as_long_as_something_arrives(shop, page, assert_whole):
    page.cuts = (40_000,) * 4 + (None,)
    assert_whole(shop.pull())
    assert len(page.asked) == 5


def test_a_transfer_that_broke_is_continued_by_the_next_run(
    shop, page, assert_refused, assert_whole
):
    page.cuts = (100_000, 0, 0, 0, None)
    assert_refused(shop.pull(), "the connection was cut, 3 times in a row")
    assert shop.part.stat().st_size > 60_000
    page.cuts = (None,)
    before = len(page.asked)
    assert_whole(shop.pull())
    assert int(page.asked[before]["Range"].removeprefix("bytes=").rstrip("-")) > 60_000


def test_a_server_that_always_cuts_at_the_start_is_given_up(shop, page, assert_refused):
    page.cuts = (0,)
    assert_refused(shop.pull(), "the connection was cut, 3 times in a row")


@pytest.mark.parametrize("after", [0, 90_000])
def test_a_stall_is_a_broken_connection(shop, page, assert_whole, after):
    page.stalls = (after, None)
    assert_whole(shop.pull())
    assert len(page.asked) == 2


def test_a_server_that_only_stalls_is_given_up(shop, page, assert_refused):
    page.stalls = (0,)
    assert_refused(shop.pull(), "stalled, 3 times in a row")


@pytest.mark.parametrize("status", [401, 403, 404, 410, 418])
def test_what_the_server_refuses_is_not_asked_for_again(shop, page, assert_refused, status):
    page.statuses = (status,)
    assert_refused(shop.pull(), f"HTTP {status}")
    assert len(page.asked) == 1


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
def test_a_server_that_is_out_of_order_is_asked_again(
    shop, page, assert_refused, assert_whole, status
):
    page.statuses = (status,)
    assert_refused(shop.pull(), f"HTTP {status}, 3 times in a row")
    page.statuses = (status,) * (len(page.asked) + 2) + (200,)
    assert_whole(shop.pull())


def test_an_error_in_the_middle_keeps_what_is_here(shop, page, assert_whole):
    page.cuts = (100_000, None)
    page.statuses = (200, 500, 200)
    assert_whole(shop.pull())
    assert [("Range" in asked) for asked in page.asked] == [False, True, True]


@pytest.mark.parametrize("date", [False, True])
def test_retry_after_is_honoured(shop, page, assert_whole, date, monkeypatch):
    pauses = []
    monkeypatch.setattr("dunrestore.checkpoints.download.time.sleep", pauses.append)
    page.statuses = (503, 200)
    in_seven = format_datetime(datetime.now(UTC) + timedelta(seconds=7), usegmt=True)
    page.headers = {"Retry-After": in_seven if date else "7"}
    assert_whole(shop.pull())
    assert len(pauses) == 1
    assert 5 <= pauses[0] <= 8


def test_a_very_long_retry_after_is_not_waited_for(shop, page, assert_refused):
    page.statuses = (503,)
    page.headers = {"Retry-After": "86400"}
    assert_refused(shop.pull(), "asks to wait 86400 s")
    assert len(page.asked) == 1


def test_a_redirect_is_followed(shop, site, page, assert_whole):
    site.pages["/moved"] = Page(statuses=(302,), headers={"Location": "/m.safetensors"})
    shop.offer(urls=[f"{site.url}/moved"])
    assert_whole(shop.pull())


def test_eight_redirects_are_followed(shop, site, page, assert_whole):
    for number in range(8):
        goal = "/m.safetensors" if number == 7 else f"/moved-{number + 1}"
        site.pages[f"/moved-{number}"] = Page(statuses=(302,), headers={"Location": goal})
    shop.offer(urls=[f"{site.url}/moved-0"])
    assert_whole(shop.pull())


def test_a_circle_of_redirects_is_left(shop, site, assert_refused):
    site.pages["/moved"] = Page(statuses=(302,), headers={"Location": "/moved"})
    shop.offer(urls=[f"{site.url}/moved"])
    assert_refused(shop.pull(), "redirects more than 8 times")


@pytest.mark.parametrize(
    "target", ["https://127.0.0.1/m", "file:///etc/passwd", "ftp://127.0.0.1/m", "gopher://x/"]
)
def test_a_redirect_to_another_scheme_is_refused(shop, site, assert_refused, target):
    site.pages["/moved"] = Page(statuses=(302,), headers={"Location": target})
    shop.offer(urls=[f"{site.url}/moved"])
    assert_refused(shop.pull(), "refused")


def test_from_https_nothing_leads_to_http(shop, page, site, assert_refused, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(DATA / "localhost.pem"))
    with Site(DATA / "localhost.pem") as safe:
        safe.pages["/moved"] = Page(
            statuses=(302,), headers={"Location": f"{site.url}/m.safetensors"}
        )
        shop.offer(urls=[f"{safe.url}/moved"])
        assert_refused(shop.pull(), "redirects from https to http, which is refused")
    assert not page.asked


def test_https_works(shop, assert_whole, model_bytes, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(DATA / "localhost.pem"))
    with Site(DATA / "localhost.pem") as safe:
        safe.pages["/m.safetensors"] = Page(model_bytes)
        shop.offer(urls=[f"{safe.url}/m.safetensors"])
        assert_whole(shop.pull())


@pytest.mark.parametrize(
    ("name", "trusted", "reason"),
    [("expired", True, "certificate has expired"), ("localhost", False, "cannot be verified")],
)
def test_a_bad_certificate_is_refused(
    shop, assert_refused, model_bytes, monkeypatch, name, trusted, reason
):
    if trusted:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(DATA / f"{name}.pem"))
    with Site(DATA / f"{name}.pem") as unsafe:
        unsafe.pages["/m.safetensors"] = Page(model_bytes)
        shop.offer(urls=[f"{unsafe.url}/m.safetensors"])
        assert_refused(shop.pull(), reason)
        assert not unsafe.pages["/m.safetensors"].asked


def test_a_length_that_is_too_long_is_a_cut(shop, page, assert_refused):
    page.length_error = 5
    assert_refused(shop.pull(), "cut")


def test_a_length_that_is_too_short_gives_a_wrong_hash(shop, page, assert_refused):
    page.length_error = -5
    assert_refused(shop.pull(), "SHA-256")


def test_wrong_content_is_refused(shop, page, assert_refused):
    page.content = bytes(len(page.content))
    assert_refused(shop.pull(), "the catalogue says")
    assert not shop.part.exists()


def test_a_single_wrong_bit_is_refused(shop, page, assert_refused):
    page.content = page.content[:-9] + bytes([page.content[-9] ^ 4]) + page.content[-8:]
    assert_refused(shop.pull(), "SHA-256")


@pytest.mark.parametrize("kept", [0, 1, 100_000])
def test_a_file_truncated_on_the_server_is_refused(shop, page, assert_refused, kept):
    page.content = page.content[:kept]
    assert_refused(shop.pull(), "SHA-256")


def test_without_a_known_hash_a_truncated_file_is_refused_as_well(shop, page, assert_refused):
    shop.offer(sha256="")
    page.content = page.content[:-1]
    assert_refused(shop.pull(), "broken")


def test_a_server_without_ranges_starts_again(shop, page, assert_whole):
    page.ranges = False
    page.cuts = (100_000, None)
    assert_whole(shop.pull())
    assert "Range" in page.asked[1]


def test_a_server_that_says_no_length_will_do(shop, page, assert_whole):
    page.says_length = False
    assert_whole(shop.pull())


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("minds_if_range", [True, False])
def test_a_file_that_changes_in_mid_transfer_is_fetched_anew(
    shop, page, assert_whole, minds_if_range, known, model_bytes
):
    old = bytes(reversed(model_bytes))

    def change(number):
        page.content = old if number == 0 else model_bytes

    page.hook = change
    page.cuts = (100_000, None)
    page.etags = ('"old"', '"new"')
    page.minds_if_range = minds_if_range
    if not known:
        shop.offer(sha256="")
    assert_whole(shop.pull())
    assert page.asked[1]["If-Range"] == '"old"'


def test_a_file_that_changes_unnoticed_is_found_by_its_hash(shop, page, assert_whole, model_bytes):
    """A server that names neither ETag nor date: the hash is wrong once, then all is fetched."""
    page.etags = ("",)
    page.hook = lambda number: setattr(
        page, "content", bytes(len(model_bytes)) if number == 0 else model_bytes
    )
    page.cuts = (100_000, None)
    assert_whole(shop.pull())
    assert [("Range" in asked) for asked in page.asked] == [False, True, False]


def test_a_file_that_can_neither_be_named_nor_proven_is_not_continued(shop, page, assert_whole):
    shop.offer(sha256="")
    page.etags = ("",)
    page.cuts = (100_000, None)
    assert_whole(shop.pull())
    assert not any("Range" in asked for asked in page.asked)


def test_a_range_beyond_the_end_starts_again(shop, page, site, assert_whole, model_bytes):
    shop.part.parent.mkdir(parents=True)
    shop.part.write_bytes(model_bytes + b"more")
    state = transfer.PartState(shop.entry["urls"][0], '"one"', len(model_bytes) + 4)
    state.write(shop.part)
    page.statuses = (416, 200)
    assert_whole(shop.pull())
    assert [("Range" in asked) for asked in page.asked] == [True, False]


def test_what_was_whole_before_it_got_its_name_is_not_fetched_again(
    shop, page, assert_whole, model_bytes
):
    shop.part.parent.mkdir(parents=True)
    shop.part.write_bytes(model_bytes)
    size = len(model_bytes)
    transfer.PartState(shop.entry["urls"][0], '"one"', size, size).write(shop.part)
    assert_whole(shop.pull())
    assert not page.asked


def test_the_mirrors_are_tried_in_turn(shop, site, page, assert_whole):
    site.pages["/broken"] = Page(bytes(1000))
    site.pages["/gone"] = Page(statuses=(404,))
    urls = [f"{site.url}/{name}" for name in ("gone", "broken", "m.safetensors")]
    shop.offer(urls=urls)
    assert_whole(shop.pull())
    assert [len(site.pages[f"/{n}"].asked) for n in ("gone", "broken")] == [1, 1]


def test_every_mirror_says_why_it_failed(shop, site, assert_refused):
    with Site() as dead:
        nobody = dead.url
    shop.offer(urls=[f"{site.url}/nothing", f"{nobody}/m.safetensors"])
    result = shop.pull()
    assert_refused(result, "HTTP 404")
    assert "no connection, 3 times in a row" in result.err


@pytest.mark.parametrize("content_type", ["text/html; charset=utf-8", "application/octet-stream"])
def test_a_web_page_in_place_of_the_file_is_recognised(shop, page, assert_refused, content_type):
    page.content = PAGE
    page.headers = {"Content-Type": content_type}
    shop.offer(sha256="")
    assert_refused(shop.pull(), "sent a web page, not the file")


FORM = """<html><body><form id="download-form" action="/download" method="get">
<input type="submit" value="Download anyway"/><input type="hidden" name="id" value="1dw&amp;8"/>
<input type="hidden" name="confirm" value="t"/></form></body></html>"""
LINK = '<html><a id="uc-download-link" href="/download?id=1dw&amp;confirm=x1">anyway</a></html>'


@pytest.mark.parametrize(("form", "query"), [(FORM, "id=1dw%268&confirm=t"), (LINK, "confirm=x1")])
def test_the_confirmation_page_of_google_drive_is_followed(
    shop, site, assert_whole, model_bytes, form, query
):
    site.pages["/uc"] = Page(form.encode(), headers={"Content-Type": "text/html"})
    site.pages["/download"] = Page(model_bytes)
    shop.offer(urls=[f"{site.url}/uc?export=download&id=1dw"])
    assert_whole(shop.pull())
    assert query in site.pages["/download"].asked[0]["path"]


def test_a_confirmation_that_leads_to_itself_is_left(shop, site, assert_refused):
    site.pages["/download"] = Page(FORM.encode(), headers={"Content-Type": "text/html"})
    shop.offer(urls=[f"{site.url}/download"])
    assert_refused(shop.pull(), "sent a web page")
    assert len(site.pages["/download"].asked) == 2


def test_an_absurd_length_is_refused(shop, page, assert_refused):
    page.length_error = 10**13
    assert_refused(shop.pull(), "which no model is")


def test_an_endless_answer_is_left(shop, page, assert_refused, monkeypatch):
    monkeypatch.setattr(transfer, "LARGEST", 100_000)
    page.says_length = False
    assert_refused(shop.pull(), "sends more than any model has")


def test_free_space_is_checked_first(shop, page, assert_refused, monkeypatch):
    usage = shop_usage(free=transfer.SPARE + 1000)
    monkeypatch.setattr(transfer.shutil, "disk_usage", lambda _: usage)
    assert_refused(shop.pull(), "not enough room on the disk")
    assert not shop.part.exists()


def shop_usage(free):
    return type("usage", (), {"free": free})()


CONFINED = """
import json, os, sys
from dunrestore.cli.app import run
code = run(["models", "pull", "m", "-q", "--catalog", sys.argv[1], "--cache-dir", sys.argv[2]])
sys.exit(code)
"""


def confined(shop, before, **options):
    """The command in a process of its own, after a line of Python that takes something away."""
    return subprocess.run(
        [sys.executable, "-c", before + CONFINED, str(shop.catalog), str(shop.cache)],
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


def test_a_disk_that_fills_up_is_one_clear_line(shop, page):
    """The kernel refuses to let any file grow past 64 KiB."""
    limit = "import resource as r; r.setrlimit(r.RLIMIT_FSIZE, (65536, 65536))\n"
    result = confined(shop, limit)
    assert result.returncode == 8
    assert "file too large" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not shop.final.exists()


FULL = 'import shutil; shutil.disk_usage = lambda p: type("u", (), {"free": 1 << 40})\n'


def mounted(shop, mounts, before=""):
    """The command where the shell has mounted something over the cache, if it may."""
    inner = (
        f'{mounts} && "$1" -c "$2" "$3" "$4"; code=$?; find "$4" -name m.safetensors; exit $code'
    )
    arguments = [sys.executable, before + CONFINED, str(shop.catalog), str(shop.cache)]
    command = ["unshare", "-Urm", "sh", "-c", inner, "sh", *arguments]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("unshare is not installed")
    if "unshare:" in result.stderr or "mount:" in result.stderr:
        pytest.skip("nothing may be mounted here")
    return result


def test_a_full_disk_is_one_clear_line(shop, page):
    """A real file system of two megabytes, which is full."""
    shop.cache.mkdir()
    mounts = 'mount -t tmpfs -o size=2m none "$4" && head -c 2000000 /dev/zero > "$4/filler"'
    result = mounted(shop, mounts, FULL)
    assert result.returncode == 8, result.stderr
    assert "no space left on device" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""


READ_ONLY = 'mount --bind "$4" "$4" && mount -o remount,bind,ro "$4"'


def test_a_read_only_cache_is_one_clear_line(shop, page):
    shop.cache.mkdir()
    result = mounted(shop, READ_ONLY)
    assert result.returncode == 8
    assert "read-only file system" in result.stderr
    assert "--cache-dir" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not page.asked


def test_a_cache_that_is_read_only_still_gives_what_is_in_it(shop, page, assert_whole):
    assert_whole(shop.pull())
    result = mounted(shop, READ_ONLY)
    assert (result.returncode, result.stderr) == (0, "")
    assert len(page.asked) == 1


def test_a_cache_path_that_is_a_file_is_one_clear_line(shop, tmp_path, assert_refused):
    (tmp_path / "file").touch()
    assert_refused(shop.pull(cache_dir=tmp_path / "file"), "not a directory")


@pytest.mark.parametrize("name", ["two words", "缓存 模型", "é", "a%20b", "'quoted'"])
def test_any_cache_path_will_do(shop, tmp_path, name, model_bytes):
    result = shop.pull(cache_dir=tmp_path / name)
    assert (result.code, result.err) == (0, "")
    assert (tmp_path / name / "models" / "m" / "m.safetensors").read_bytes() == model_bytes
    assert shop.models("path", "m", cache_dir=tmp_path / name).out.strip().endswith("m.safetensors")


def test_two_processes_fetch_once(shop, page, model_bytes):
    page.chunk_pause = 0.05
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(confined(shop, ""))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result.returncode for result in results] == [0, 0]
    assert len(page.asked) == 1
    assert hashlib.sha256(shop.final.read_bytes()).digest() == hashlib.sha256(model_bytes).digest()


def test_offline_nothing_is_asked_for(shop, page, assert_refused, assert_whole):
    assert_refused(shop.pull("--offline"), "--offline forbids")
    assert not page.asked
    assert_whole(shop.pull())
    assert_whole(shop.pull("--offline"))


def test_a_proxy_is_honoured(shop, page, site, model_bytes, assert_whole, monkeypatch):
    """The server is asked for another host's address, as proxies are."""
    monkeypatch.setenv("http_proxy", site.url)
    site.pages["http://models.example/m.safetensors"] = Page(model_bytes)
    shop.offer(urls=["http://models.example/m.safetensors"])
    assert_whole(shop.pull())


def test_a_proxys_password_is_never_shown(shop, assert_refused, monkeypatch):
    with Site() as dead:
        port = dead.server_address[1]
    monkeypatch.setenv("http_proxy", f"http://user:hunter2@127.0.0.1:{port}")
    shop.offer(urls=["http://models.example/m.safetensors?token=hunter3"])
    result = shop.pull()
    assert_refused(result, "the proxy gives no connection")
    assert "hunter" not in result.err + result.out


def test_a_file_address_is_copied_and_proven(shop, tmp_path, model_bytes, assert_whole):
    source = tmp_path / "with space.bin"
    source.write_bytes(model_bytes)
    shop.offer(urls=[(tmp_path / "missing").as_uri(), source.as_uri()])
    assert_whole(shop.pull())
