"""Both stacks deployed, what was made read back, and each role tried with the policies in force."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from oms_pipeline.errors import RawZoneError
from oms_pipeline.raw.s3 import S3Store
from oms_pipeline_tests.aws.conftest import BUCKET, EXTERNAL_ID, IMAGE, Stacks

pytestmark = pytest.mark.slow

READABLE_AT_ONCE = {"STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR"}


def refused(call: Any, **arguments: Any) -> bool:
    """Whether a call is denied; any other error is one."""
    try:
        call(**arguments)
    except ClientError as error:
        if error.response["Error"]["Code"] not in {"AccessDenied", "403", "AccessDeniedException"}:
            raise
        return True
    return False


# The bucket


@pytest.fixture
def s3(stacks: Stacks) -> Any:
    return stacks.account.client("s3")


def test_the_bucket_keeps_old_versions_encrypts_and_is_closed_to_the_public(s3: Any) -> None:
    assert s3.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"
    (rule,) = s3.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    closed = s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"]
    assert len(closed) == 4 and all(closed.values())
    (owner,) = s3.get_bucket_ownership_controls(Bucket=BUCKET)["OwnershipControls"]["Rules"]
    assert owner["ObjectOwnership"] == "BucketOwnerEnforced"


def test_no_object_of_the_raw_zone_ever_needs_a_restore_before_it_can_be_read(s3: Any) -> None:
    rules = s3.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]
    classes = {move["StorageClass"] for rule in rules for move in rule.get("Transitions", [])}
    assert classes and classes <= READABLE_AT_ONCE
    assert (
        s3.list_bucket_intelligent_tiering_configurations(Bucket=BUCKET).get("IntelligentTieringConfigurationList", [])
        == []
    )


def test_nothing_below_raw_expires_while_it_is_the_newest_version(s3: Any) -> None:
    expiring = {
        rule["Filter"]["Prefix"]: rule["Expiration"]["Days"]
        for rule in s3.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]
        if "Days" in rule.get("Expiration", {})
    }
    assert expiring == {"compute-logs/": 90, "backups/": 35}


def test_old_versions_and_unfinished_uploads_go_away_everywhere(s3: Any) -> None:
    rules = {rule["ID"]: rule for rule in s3.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]}
    assert rules["old-versions"]["Filter"]["Prefix"] == rules["unfinished-uploads"]["Filter"]["Prefix"] == ""
    assert rules["old-versions"]["NoncurrentVersionExpiration"]["NoncurrentDays"] == 90
    assert rules["unfinished-uploads"]["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] == 7


def test_whoever_comes_without_tls_is_refused_whatever_they_may_do_otherwise(stacks: Stacks) -> None:
    credentials = stacks.account.assume_as_service(stacks.host["RoleArn"])
    listing = {"Bucket": BUCKET, "Prefix": "raw/"}
    secure = stacks.account.client("s3", credentials)
    clear = stacks.account.client("s3", credentials, stacks.account.clear)
    assert not refused(secure.list_objects_v2, **listing)
    assert refused(clear.list_objects_v2, **listing)


# The machine's role


@pytest.fixture
def store(stacks: Stacks, monkeypatch: pytest.MonkeyPatch) -> S3Store:
    """The pipeline's own store, as the machine's role."""
    for name, value in stacks.account.environment(stacks.account.assume_as_service(stacks.host["RoleArn"])).items():
        monkeypatch.setenv(name, value)
    return S3Store(BUCKET, "raw", stacks.account.endpoint)


def test_the_machine_may_do_all_that_the_raw_zone_needs(stacks: Stacks, store: S3Store) -> None:
    store.check()
    with store.lock():
        store.write_text("year=2026/orders/a.txt", "landed")
        with store.create("year=2026/orders/big.parquet") as file:
            file.write(bytes(20 * 1024 * 1024))  # more than one part
    assert store.read_text("year=2026/orders/a.txt") == "landed"
    assert store.sha256("year=2026/orders/big.parquet")[0] == 20 * 1024 * 1024  # type: ignore[index]
    assert store.files("year=2026") == ["year=2026/orders/a.txt", "year=2026/orders/big.parquet"]
    assert store.safety() == (True, f"bucket {BUCKET} keeps old versions")
    store.client.create_multipart_upload(Bucket=BUCKET, Key="raw/year=2026/orders/half.parquet")
    swept = store.sweep("year=2026", ["year=2026/orders/a.txt"])
    assert swept == ["year=2026/orders/big.parquet", "year=2026/orders/half.parquet"]
    assert store.files("year=2026") == ["year=2026/orders/a.txt"]
    store.delete("year=2026/orders/a.txt")


def test_what_is_missing_is_missing_to_the_machine_and_not_forbidden(stacks: Stacks, store: S3Store) -> None:
    assert store.read_text("never/was.txt") is None
    assert store.sha256("never/was.txt") is None


def test_outside_its_prefixes_the_machine_may_do_nothing(stacks: Stacks, store: S3Store, s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="finance/secret.txt", Body=b"x")
    outside = S3Store(BUCKET, "finance", stacks.account.endpoint)
    with pytest.raises(RawZoneError, match="denied"):
        outside.read_text("secret.txt")
    with pytest.raises(RawZoneError, match="denied"):
        outside.write_text("new.txt", "x")
    with pytest.raises(RawZoneError, match="denied"):
        outside.delete("secret.txt")
    with pytest.raises(RawZoneError, match="denied"):
        outside.sweep("", [])
    assert s3.get_object(Bucket=BUCKET, Key="finance/secret.txt")["Body"].read() == b"x"


def test_the_machine_can_neither_destroy_old_versions_nor_its_backups_nor_open_the_bucket(
    stacks: Stacks, store: S3Store, s3: Any
) -> None:
    version = s3.put_object(Bucket=BUCKET, Key="raw/day.parquet", Body=b"x")["VersionId"]
    s3.put_object(Bucket=BUCKET, Key="backups/a/dagster.dump", Body=b"x")
    client = store.client
    assert refused(client.delete_object, Bucket=BUCKET, Key="raw/day.parquet", VersionId=version)
    assert refused(client.delete_object, Bucket=BUCKET, Key="backups/a/dagster.dump")
    assert refused(client.put_bucket_versioning, Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"})
    assert refused(client.delete_bucket_policy, Bucket=BUCKET)
    assert refused(client.delete_bucket, Bucket=BUCKET)


def test_the_machine_reads_its_own_settings_and_nobody_elses(stacks: Stacks) -> None:
    admin = stacks.account.client("ssm")
    admin.put_parameter(Name="/other/env/PASSWORD", Value="x", Type="SecureString", Overwrite=True)
    ssm = stacks.account.client("ssm", stacks.account.assume_as_service(stacks.host["RoleArn"]))
    assert ssm.get_parameter(Name="/oms/image")["Parameter"]["Value"] == IMAGE
    found = ssm.get_parameters_by_path(Path="/oms/env", WithDecryption=True)["Parameters"]
    assert {each["Name"] for each in found} >= {"/oms/env/OMS_RAW_URL", "/oms/env/OMS_PROFILE"}
    assert refused(ssm.get_parameter, Name="/other/env/PASSWORD", WithDecryption=True)
    assert refused(ssm.get_parameters_by_path, Path="/other", Recursive=True)
    assert refused(ssm.put_parameter, Name="/oms/image", Value="evil", Type="String", Overwrite=True)


def test_the_machine_tells_of_backups_and_of_nothing_else(stacks: Stacks) -> None:
    cloudwatch = stacks.account.client("cloudwatch", stacks.account.assume_as_service(stacks.host["RoleArn"]))
    metric = [{"MetricName": "Backups", "Value": 1}]
    assert not refused(cloudwatch.put_metric_data, Namespace="OMS", MetricData=metric)
    assert refused(cloudwatch.put_metric_data, Namespace="Billing", MetricData=metric)


# Snowflake's role


def test_before_snowflake_is_known_there_is_no_role_that_trusts_anybody(stacks: Stacks) -> None:
    assert stacks.roles == []
    assert stacks.storage["SnowflakeRoleArn"] == stacks.storage_with_snowflake["SnowflakeRoleArn"]
    assert stacks.storage["SnowflakeRoleArn"] == "arn:aws:iam::123456789012:role/oms-storage-snowflake"
    assert stacks.storage["RawUrl"] == f"s3://{BUCKET}/raw"


def test_snowflake_reads_the_raw_zone_and_nothing_else(stacks: Stacks, s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="raw/day.parquet", Body=b"rows")
    s3.put_object(Bucket=BUCKET, Key="backups/dagster.dump", Body=b"x")
    role = stacks.storage_with_snowflake["SnowflakeRoleArn"]
    given = stacks.account.assume(role, stacks.snowflake_user, ExternalId=EXTERNAL_ID)
    client = stacks.account.client("s3", given)
    assert client.get_object(Bucket=BUCKET, Key="raw/day.parquet")["Body"].read() == b"rows"
    assert client.list_objects_v2(Bucket=BUCKET, Prefix="raw/")["KeyCount"] >= 1
    assert not refused(client.get_bucket_location, Bucket=BUCKET)
    assert refused(client.get_object, Bucket=BUCKET, Key="backups/dagster.dump")
    assert refused(client.list_objects_v2, Bucket=BUCKET, Prefix="backups/")
    assert refused(client.list_objects_v2, Bucket=BUCKET)
    assert refused(client.put_object, Bucket=BUCKET, Key="raw/day.parquet", Body=b"x")
    assert refused(client.delete_object, Bucket=BUCKET, Key="raw/day.parquet")


def test_without_our_external_id_snowflakes_user_is_refused(stacks: Stacks) -> None:
    role = stacks.storage_with_snowflake["SnowflakeRoleArn"]
    assert refused(stacks.account.assume, role_arn=role, credentials=stacks.snowflake_user)
    assert refused(
        stacks.account.assume, role_arn=role, credentials=stacks.snowflake_user, ExternalId="somebody else's"
    )
    assert refused(
        stacks.account.assume,
        role_arn=stacks.host["RoleArn"],
        credentials=stacks.snowflake_user,
        ExternalId=EXTERNAL_ID,
    )


# The machine


def test_the_machine_has_its_role_an_encrypted_disk_and_protection_from_termination(stacks: Stacks) -> None:
    ec2 = stacks.account.client("ec2")
    (reservation,) = ec2.describe_instances(InstanceIds=[stacks.host["InstanceId"]])["Reservations"]
    (instance,) = reservation["Instances"]
    assert instance["InstanceType"] == "t3.large"
    assert "KeyName" not in instance
    profile = stacks.account.client("iam").list_instance_profiles()["InstanceProfiles"][0]
    assert profile["Roles"][0]["Arn"] == stacks.host["RoleArn"]
    assert instance["IamInstanceProfile"]["Arn"] == profile["Arn"]
    (disk,) = ec2.describe_volumes(Filters=[{"Name": "attachment.instance-id", "Values": [instance["InstanceId"]]}])[
        "Volumes"
    ]
    assert disk["Encrypted"] and disk["Size"] == 50


def test_nothing_comes_in(stacks: Stacks) -> None:
    groups = stacks.account.client("ec2").describe_security_groups()["SecurityGroups"]
    (group,) = [each for each in groups if each["Description"].startswith("OMS Pipeline")]
    assert group["IpPermissions"] == []


def test_a_dead_machine_and_a_missing_backup_are_mailed(stacks: Stacks) -> None:
    alarms = stacks.account.client("cloudwatch").describe_alarms()["MetricAlarms"]
    watched = {each["MetricName"]: each for each in alarms}
    assert set(watched) == {"StatusCheckFailed", "Backups"}
    (subscription,) = stacks.account.client("sns").list_subscriptions()["Subscriptions"]
    assert subscription["Endpoint"] == "ops@example.com"
    for alarm in alarms:
        assert alarm["AlarmActions"] == alarm["OKActions"] == [subscription["TopicArn"]]
        # Silence is what a dead machine sends.
        assert alarm["TreatMissingData"] == "breaching"
    (machine,) = watched["StatusCheckFailed"]["Dimensions"]
    assert machine["Value"] == stacks.host["InstanceId"]
