"""What AWS does and moto leaves out.

- IAM: conditions and bucket policies count. Whoever may not list a bucket is told of a missing object that it is forbidden.
- CloudFormation: a bucket gets every property of its template, not just some; one that is unknown here is an error. Bucket
  policies and alarms are made.
"""

import json
import re
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from botocore import xform_name
from moto.cloudwatch.models import cloudwatch_backends
from moto.core.common_models import CloudFormationModel
from moto.iam.access_control import IAMRequestBase, PermissionResult
from moto.s3.models import FakeBucket, FakeKey, S3Backend, s3_backends

from oms_pipeline_tests.aws.policies import allows


def apply() -> None:
    """Mends moto in this process."""
    IAMRequestBase.check_action_permitted = _check_action_permitted  # type: ignore[method-assign]
    # Decided above; moto's own decision of this one takes a condition that it does not know for fulfilled.
    FakeBucket.get_permission = lambda *_: PermissionResult.NEUTRAL  # type: ignore[method-assign]
    _complete_buckets()


def _check_action_permitted(self: Any, resource: str) -> None:
    if self._action == "sts:GetCallerIdentity":
        return
    action = self._action.replace("monitoring:", "cloudwatch:")  # signed for the one name, permitted under the other
    query = parse_qs(urlsplit(self._path).query, keep_blank_values=True)
    context = {"aws:SecureTransport": str(self._headers.get("X-Forwarded-Proto") == "https")}
    if "prefix" in query:
        context["s3:prefix"] = query["prefix"][0]
    is_json = "json" in self._headers.get("Content-Type", "")
    asked = json.loads(self._body) if is_json else {name: values[0] for name, values in self._data.items()}
    for name, key in (("ExternalId", "sts:ExternalId"), ("Namespace", "cloudwatch:namespace")):
        if name in asked:
            context[key] = asked[name]
    own = [_document(policy) for policy in self._access_key.collect_policies()]

    def may(action: str, resource: str, context: dict[str, str]) -> bool:
        of_bucket = _bucket_policies(self, resource)
        denied = [{"Statement": [s for s in policy["Statement"] if s["Effect"] == "Deny"]} for policy in of_bucket]
        return allows([*own, *denied], action, resource, context, self._access_key.arn)

    resources = [resource]
    if self._service == "s3" and action == "s3:DeleteObject" and "/" not in resource:
        # Many at once: a decision for each.
        resources = [f"{resource}/{key}" for key in re.findall(r"<Key>(.*?)</Key>", self._body.decode())]
    if self._service == "ssm":
        name = asked.get("Name") or asked.get("Path")
        resources = [f"arn:aws:ssm:{self._region}:{self.account_id}:parameter{name}"]
    permitted = all(may(action, each, context) for each in resources)
    if self._is_assuming_role_operation(resource):
        trust = json.loads(self.backend.get_role_by_arn(resource).assume_role_policy_document)
        permitted = permitted and allows([trust], action, resource, context, self._access_key.arn)
    if permitted and action == "s3:GetObject" and not _exists(self, resource):
        permitted = may("s3:ListBucket", resource.partition("/")[0], {"aws:SecureTransport": "true"})
    if not permitted:
        self._raise_access_denied()


def _document(policy: Any) -> Any:
    """A policy as moto keeps it: as a document, as its text, or as either with a name beside it."""
    document = policy.get("policy_document", policy) if isinstance(policy, dict) else policy
    return json.loads(document) if isinstance(document, str) else document


def _buckets(request: Any) -> S3Backend:
    return s3_backends[request.account_id]["aws"]


def _bucket_policies(request: Any, resource: str) -> list[Any]:
    bucket = _buckets(request).buckets.get(_place(resource)[0])
    return [json.loads(bucket.policy)] if bucket is not None and bucket.policy else []


def _exists(request: Any, resource: str) -> bool:
    name, key = _place(resource)
    bucket = _buckets(request).buckets.get(name)
    return bucket is not None and isinstance(bucket.keys.get(key), FakeKey)


def _place(resource: str) -> tuple[str, str]:
    bucket, _, key = resource.rpartition(":::")[2].partition("/")
    return bucket, unquote(key)


def _complete_buckets() -> None:
    create, update = FakeBucket.create_from_cloudformation_json, FakeBucket.update_from_cloudformation_json

    def created(
        _: Any, resource_name: str, cloudformation_json: Any, account_id: str, region: str, **kwargs: Any
    ) -> Any:
        bucket = create(resource_name, cloudformation_json, account_id, region, **kwargs)
        _apply(s3_backends[account_id]["aws"], bucket.name, cloudformation_json["Properties"])
        return bucket

    def updated(_: Any, original: Any, new_name: str, cloudformation_json: Any, account_id: str, region: str) -> Any:
        bucket = update(original, new_name, cloudformation_json, account_id, region)
        _apply(s3_backends[account_id]["aws"], bucket.name, cloudformation_json["Properties"])
        return bucket

    FakeBucket.create_from_cloudformation_json = classmethod(created)  # type: ignore[method-assign,assignment]
    FakeBucket.update_from_cloudformation_json = classmethod(updated)  # type: ignore[method-assign,assignment]


def _apply(s3: S3Backend, bucket: str, properties: Any) -> None:
    known = {
        "BucketName",
        "BucketEncryption",
        "VersioningConfiguration",
        "PublicAccessBlockConfiguration",
        "OwnershipControls",
        "LifecycleConfiguration",
    }
    assert set(properties) <= known, set(properties) - known
    s3.put_bucket_versioning(bucket, properties["VersioningConfiguration"]["Status"])
    s3.put_public_access_block(bucket, properties["PublicAccessBlockConfiguration"])
    (owner,) = properties["OwnershipControls"]["Rules"]
    s3.put_bucket_ownership_controls(bucket, owner["ObjectOwnership"])
    rules = [_lifecycle_rule(rule) for rule in properties["LifecycleConfiguration"]["Rules"]]
    s3.put_bucket_lifecycle_configuration(bucket, rules)


def _lifecycle_rule(rule: dict[str, Any]) -> dict[str, Any]:
    """A rule as S3's own requests spell it; CloudFormation has names of its own."""
    rest = dict(rule)
    spelt: dict[str, Any] = {"ID": rest.pop("Id"), "Status": rest.pop("Status")}
    spelt["Filter"] = {"Prefix": rest.pop("Prefix", "")}
    if "Transitions" in rest:
        spelt["Transition"] = [
            {"Days": str(each["TransitionInDays"]), "StorageClass": each["StorageClass"]}
            for each in rest.pop("Transitions")
        ]
    if "ExpirationInDays" in rest:
        spelt["Expiration"] = {"Days": str(rest.pop("ExpirationInDays"))}
    if "ExpiredObjectDeleteMarker" in rest:
        spelt["Expiration"] = {"ExpiredObjectDeleteMarker": str(rest.pop("ExpiredObjectDeleteMarker")).lower()}
    for name in ("NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload"):
        if name in rest:
            spelt[name] = {key: str(value) for key, value in rest.pop(name).items()}
    assert not rest, rest
    return spelt


class BucketPolicy(CloudFormationModel):
    """A bucket's policy, as a template asks for it."""

    physical_resource_id = "policy"

    @staticmethod
    def cloudformation_name_type() -> str:
        return ""

    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::S3::BucketPolicy"

    @classmethod
    def create_from_cloudformation_json(  # type: ignore[override]
        cls, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str, **kwargs: Any
    ) -> "BucketPolicy":
        properties = cloudformation_json["Properties"]
        document = json.dumps(properties["PolicyDocument"]).encode()
        s3_backends[account_id]["aws"].put_bucket_policy(properties["Bucket"], document)
        return cls()


class MetricAlarm(CloudFormationModel):
    """An alarm, as a template asks for it."""

    physical_resource_id = "alarm"

    @staticmethod
    def cloudformation_name_type() -> str:
        return "AlarmName"

    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::CloudWatch::Alarm"

    @classmethod
    def create_from_cloudformation_json(  # type: ignore[override]
        cls, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str, **kwargs: Any
    ) -> "MetricAlarm":
        properties = {xform_name(name): value for name, value in cloudformation_json["Properties"].items()}
        properties["description"] = properties.pop("alarm_description")
        cloudwatch_backends[account_id][region_name].put_metric_alarm(name=resource_name, **properties)
        return cls()
