-- The user dashboards log in as: a service with a key pair, which sees the marts and what each run did, and nothing else.
use role {{ admin_role }};

create user if not exists oms_dashboards_user type = service comment = 'OMS Pipeline: dashboards';
alter user oms_dashboards_user set
    rsa_public_key = {{ dashboards_public_key }}
    default_role = oms_reporter
    default_warehouse = oms_dashboards;
grant role oms_reporter to user oms_dashboards_user;
