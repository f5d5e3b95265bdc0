"""What is shown of an error: one line, and no secret."""

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
        ('{"password": "s3cret", "user": "ana"}', '{"password": …, "user": "ana"}'),
        ("{'client_secret': 's3cret'}", "{'client_secret': …}"),
        ("api_key=s3cret&user=ana", "api_key=…&user=ana"),
        ("GET /raw?X-Amz-Signature=s3cret&X-Amz-Date=1", "GET /raw?X-Amz-Signature=…&X-Amz-Date=1"),
        ("Authorization: Bearer s3cret refused", "Authorization: Bearer … refused"),
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
