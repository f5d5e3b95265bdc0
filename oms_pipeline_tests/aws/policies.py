"""Decides as IAM does whether policies allow an action: moto's own decision knows no conditions.

Rules: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html. What this does not know
is an error, never a yes.
"""

import fnmatch
import re
from collections.abc import Iterable, Mapping
from typing import Any

Policy = Mapping[str, Any]


def allows(
    policies: Iterable[Policy], action: str, resource: str, context: Mapping[str, str], principal: str | None = None
) -> bool:
    """Whether at least one statement allows it and none denies it.

    Args:
        policies: Documents, as JSON tells them.
        action: Such as `s3:GetObject`.
        resource: Its ARN.
        context: Condition keys of the request and their values.
        principal: ARN of whoever asks, for policies that name one; None for policies of a role.
    """
    effects = {
        statement["Effect"]
        for policy in policies
        for statement in policy["Statement"]
        if _concerns(statement, action, resource, principal) and _holds(statement.get("Condition", {}), context)
    }
    return effects == {"Allow"}


def _concerns(statement: Policy, action: str, resource: str, principal: str | None) -> bool:
    unknown = set(statement) - {"Sid", "Effect", "Action", "Resource", "Principal", "Condition"}
    assert not unknown, unknown
    of_action = any(_matches(pattern.lower(), action.lower()) for pattern in _list(statement["Action"]))
    # A trust policy's resource is the role it belongs to.
    of_resource = any(_matches(pattern, resource) for pattern in _list(statement.get("Resource", "*")))
    named = statement.get("Principal")
    if named is None or named == "*":
        return of_action and of_resource
    return of_action and of_resource and principal in _list(named.get("AWS", []))


def _holds(condition: Mapping[str, Mapping[str, Any]], context: Mapping[str, str]) -> bool:
    operators = {
        "StringEquals": lambda expected, value: expected == value,
        "StringLike": _matches,
        "Bool": lambda expected, value: expected.lower() == value.lower(),
    }
    return all(
        key in context and any(operators[operator](expected, context[key]) for expected in _list(wanted))
        for operator, keys in condition.items()
        for key, wanted in keys.items()
    )


def _matches(pattern: str, text: str) -> bool:
    """IAM's wildcards, which are `*` and `?` and nothing else."""
    return re.fullmatch(fnmatch.translate(pattern.replace("[", "[[]")), text) is not None


def _list(value: Any) -> list[str]:
    return list(value) if isinstance(value, list) else [value]
