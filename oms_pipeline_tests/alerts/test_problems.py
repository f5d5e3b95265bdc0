"""What is shown of an error: one line, and no secret."""

import time

import pytest

from oms_pipeline.alerts.problems import one_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("two\nlines\tand  more", "two lines and more"),
        ("postgresql://ana:s3cret@db.example.com/oms is gone", "postgresql://…@db.example.com/oms is gone"),
        ("postgresql://ana:s3/cr@et@db.example.com/oms is gone", "postgresql://…@db.example.com/oms is gone"),
        ("password=s3cret host=db", "password=… host=db"),
        ("password: 's3cret and more' host", "password: … host"),
        ("password=s3,cr;e&t)ij is wrong", "password=… is wrong"),
        ('{"password": "s3\\"cret and more", "user": "ana"}', '{"password": … "user": "ana"}'),
        ("{'client_secret': 's3cret'} is wrong", "{'client_secret': … is wrong"),
        ("api_key=s3cret&user=ana", "api_key=…"),
        ("GET /raw?X-Amz-Signature=s3cret&X-Amz-Date=1 failed", "GET /raw?X-Amz-Signature=… failed"),
        ("Authorization: Bearer s3cret.s3cret refused", "Authorization: Bearer … refused"),
        ("OMS_METABASE_PASSWORD_FILE=/run/secrets/metabase is empty.",) * 2,
        ("-----BEGIN PRIVATE KEY----- s3cret -----END PRIVATE KEY-----", "(a private key)"),
        ("caf\udce9 \x1b[31mred", "caf? [31mred"),
        (
            "The OMS at db.example.com does not answer. Start it.",
            "The OMS at db.example.com does not answer. Start it.",
        ),
    ],
)
def test_an_error_is_shown_as_one_line_without_its_secrets(text: str, shown: str) -> None:
    assert one_line(text) == shown


def test_a_long_error_is_cut_to_what_a_phone_shows() -> None:
    assert len(one_line("x" * 1000)) == 300


@pytest.mark.parametrize("part", ["a-", "token-", "secret ", "bearer ", "://", "'", "9f8a-"])
def test_whatever_an_error_is_made_of_it_is_read_at_once(part: str) -> None:
    started = time.monotonic()
    one_line(part * 100_000)
    assert time.monotonic() - started < 2.0
