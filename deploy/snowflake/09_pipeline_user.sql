-- The user the pipeline logs in as: a service, which can have no password, only a key pair.
use role {{ admin_role }};

create user if not exists oms_pipeline_user type = service comment = 'OMS Pipeline: the daily run';
alter user oms_pipeline_user set
    rsa_public_key = {{ pipeline_public_key }}
    default_role = {{ transformer }}
    default_warehouse = {{ warehouse }};
grant role {{ transformer }} to user oms_pipeline_user;
