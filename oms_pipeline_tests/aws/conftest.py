"""An account with both stacks of `deploy/aws` in it."""

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest

from oms_pipeline.settings import PROJECT_DIR
from oms_pipeline_tests.aws.account import REGION

TEMPLATES = PROJECT_DIR / "deploy" / "aws"
BUCKET = "oms-example"
IMAGE = "docker.io/example/oms-pipeline:0.1.0@sha256:" + "0" * 64
EXTERNAL_ID = "MYACCOUNT_SFCRole=2_abcDEF123+x="
NOBODY = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "not-a-secret"}


@dataclass(frozen=True)
class Account:
    """An account, and how to reach it. Policies are in force.

    Attributes:
        endpoint: Its address.
        clear: The same without TLS.
        certificate: What its TLS is signed with.
        administrator: Credentials of a user who may do everything.
    """

    endpoint: str
    clear: str
    certificate: Path
    administrator: Mapping[str, str] = field(default_factory=lambda: NOBODY, repr=False)

    def client(self, service: str, credentials: Mapping[str, str] | None = None, endpoint: str | None = None) -> Any:
        """A client of a service, of the administrator or of whom the credentials are."""
        credentials = credentials or self.administrator
        return boto3.client(
            service,
            endpoint_url=endpoint or self.endpoint,
            verify=str(self.certificate),
            region_name=REGION,
            aws_access_key_id=credentials["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=credentials["AWS_SECRET_ACCESS_KEY"],
            aws_session_token=credentials.get("AWS_SESSION_TOKEN"),
        )

    def environment(self, credentials: Mapping[str, str]) -> dict[str, str]:
        """What AWS's own tools read, and boto3 with them."""
        return {
            **credentials,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_CA_BUNDLE": str(self.certificate),
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        }

    def deploy(self, template: str, stack: str, parameters: Mapping[str, str]) -> dict[str, str]:
        """Makes or updates a stack as `aws cloudformation deploy` does; gives its outputs."""
        cloudformation = self.client("cloudformation")
        there = {each["StackName"] for each in cloudformation.describe_stacks()["Stacks"]}
        act = cloudformation.update_stack if stack in there else cloudformation.create_stack
        act(
            StackName=stack,
            TemplateBody=(TEMPLATES / template).read_text(encoding="utf-8"),
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
            Capabilities=["CAPABILITY_NAMED_IAM"],
        )
        (described,) = cloudformation.describe_stacks(StackName=stack)["Stacks"]
        assert described["StackStatus"] in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}, described
        return {each["OutputKey"]: each["OutputValue"] for each in described["Outputs"]}

    def assume(self, role_arn: str, credentials: Mapping[str, str] | None = None, **options: str) -> dict[str, str]:
        """Credentials of a role, for the administrator or for whom the credentials are."""
        sts = self.client("sts", credentials)
        given = sts.assume_role(RoleArn=role_arn, RoleSessionName="test", **options)["Credentials"]
        return {
            "AWS_ACCESS_KEY_ID": given["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"],
            "AWS_SESSION_TOKEN": given["SessionToken"],
        }

    def assume_as_service(self, role_arn: str) -> dict[str, str]:
        """Credentials of a role that trusts a service of AWS, as that service hands them to a machine."""
        self.enforce_policies(False)
        try:
            return self.assume(role_arn)
        finally:
            self.enforce_policies(True)

    def enforce_policies(self, really: bool) -> None:
        """From now on policies count, or everybody may do everything."""
        connection = http.client.HTTPConnection(urlsplit(self.clear).netloc)
        connection.request("POST", "/moto-api/reset-auth", "0" if really else "inf")
        assert connection.getresponse().status == 200
        connection.close()

    def new_user(self, name: str, *actions: str) -> tuple[str, dict[str, str]]:
        """A user who may do this, anywhere: ARN and credentials."""
        iam = self.client("iam")
        user = iam.create_user(UserName=name)["User"]["Arn"]
        allow = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
        iam.put_user_policy(UserName=name, PolicyName="all", PolicyDocument=document)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return user, {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}


@pytest.fixture(scope="session")
def empty_account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """An account with nothing in it but what AWS itself puts there."""
    folder = tmp_path_factory.mktemp("account")
    command = [sys.executable, "-m", "oms_pipeline_tests.aws.account", str(folder)]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=PROJECT_DIR, env=clean, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
        )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, (folder / "log").read_text()
            endpoint, clear = json.loads(line)
            account = Account(endpoint, clear, folder / "server.crt")
            _, credentials = account.new_user("administrator", "*")
            account.enforce_policies(True)
            yield replace(account, administrator=credentials)
        finally:
            process.communicate()


@dataclass(frozen=True)
class Stacks:
    """What was deployed.

    Attributes:
        account: Where.
        roles: Names of the roles there are before Snowflake is known.
        storage: Outputs of the stack with the bucket, before Snowflake is known.
        storage_with_snowflake: The same after it is.
        host: Outputs of the stack with the machine.
        snowflake_user: Credentials of the user whom the role for Snowflake trusts.
    """

    account: Account
    roles: list[str]
    storage: dict[str, str]
    storage_with_snowflake: dict[str, str]
    host: dict[str, str]
    snowflake_user: dict[str, str]


@pytest.fixture(scope="session")
def stacks(empty_account: Account) -> Stacks:
    """Both stacks, deployed in the runbook's order."""
    account = empty_account
    storage = account.deploy("storage.yml", "oms-storage", {"BucketName": BUCKET})
    roles = [role["RoleName"] for role in account.client("iam").list_roles()["Roles"]]
    # Stands in for Snowflake's user, who is in an account of Snowflake's.
    user, user_credentials = account.new_user("snowflake", "sts:AssumeRole")
    with_snowflake = account.deploy(
        "storage.yml",
        "oms-storage",
        {"BucketName": BUCKET, "SnowflakeUserArn": user, "SnowflakeExternalId": EXTERNAL_ID},
    )
    host = account.deploy("host.yml", "oms", host_parameters(account))
    return Stacks(account, roles, storage, with_snowflake, host, user_credentials)


def host_parameters(account: Account) -> dict[str, str]:
    """Parameters of the machine's stack."""
    ec2 = account.client("ec2")
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    subnet = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["Subnets"][0]["SubnetId"]
    return {
        "Image": IMAGE,
        "BucketName": BUCKET,
        "VpcId": vpc,
        "SubnetId": subnet,
        "SourceCidr": "10.0.12.0/24",
        "AlarmEmail": "ops@example.com",
        "ImageId": ec2.describe_images()["Images"][0]["ImageId"],
    }
