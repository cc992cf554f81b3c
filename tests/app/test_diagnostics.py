from __future__ import annotations

import pytest

from app.viewmodels.diagnostics import redacted


def clean(text: str) -> str:
    return redacted(
        text, home="/home/al", users=("ada", "al"), machines=("tower.lab.example", "tower")
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/home/al/models/x", "~/models/x"),
        ("/home/alice/models/x", "~/models/x"),
        ("in /home/al.", "in ~."),
        ("/data/ada/run by Ada@", "/data/<user>/run by <user>@"),
        (r"C:\Users\Bob\x and C:/Users/Bob/y", r"~\x and ~/y"),
        ("on tower.lab.example and TOWER", "on <machine> and <machine>"),
        ("write to ada.l@uni-x.example", "write to <address>"),
        ("Canada, adapter", "Canada, adapter"),
    ],
)
def test_that_places_and_names_are_taken_out(text: str, expected: str) -> None:
    assert clean(text) == expected


@pytest.mark.parametrize(
    "secret",
    [
        "hf_AbCdEfGhIjKlMnOp",
        "sk-proj-abcdefgh12345678",
        "github_pat_11ABCDEFG0abcdefgh",
        "AKIAIOSFODNN7EXAMPLE",
        "eyJhbGciOiJIUzI1.eyJzdWIiOiIxMjM0.SflKxwRJSMeKKF2Q",
    ],
)
@pytest.mark.parametrize("around", ["{}", "login with {} failed", "Authorization: Bearer {}"])
def test_that_tokens_are_taken_out_wherever_they_stand(secret: str, around: str) -> None:
    assert secret not in clean(around.format(secret))
    assert "<token>" in clean(around.format(secret))


@pytest.mark.parametrize(
    "line",
    [
        "HF_TOKEN={}",
        '"access_token": "{}"',
        "WANDB_API_KEY: {}",
        "password = {}",
        "https://ada:{}@host/x",
        "https://{}@host/x.git",
        "GET /x?X-Amz-Signature={}&y=1",
        "Authorization: Basic {}",
    ],
)
def test_that_what_a_name_says_is_secret_is_taken_out(line: str) -> None:
    secret = "Zm9vYmFyYmF6cXV4MTIzNDU2"
    assert secret not in clean(line.format(secret))


@pytest.mark.parametrize(
    "line",
    [
        "max_new_tokens: 128",
        "token: last_prompt",
        "tokens: 1234567890123456789",
        "every token: what the teacher was shown",
        "Qwen/Qwen2.5-3B-Instruct@main",
        "step 12 of 200, loss 0.1234",
    ],
)
def test_that_recipes_and_numbers_stay_readable(line: str) -> None:
    assert clean(line) == line
