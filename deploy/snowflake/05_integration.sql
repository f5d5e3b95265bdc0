-- Snowflake's way into the bucket: an AWS role that it assumes, no keys. Never replaced: its external id, which the
-- role's trust policy names, would be another.
use role {{ admin_role }};

create storage integration if not exists oms_raw
    type = external_stage
    storage_provider = 'S3'
    enabled = true
    storage_aws_role_arn = {{ aws_role_arn }}
    storage_allowed_locations = ({{ bucket_url }});
alter storage integration oms_raw set
    enabled = true
    storage_aws_role_arn = {{ aws_role_arn }}
    storage_allowed_locations = ({{ bucket_url }});

grant usage on integration oms_raw to role oms_owner;
