-- Who may do what. The pipeline works as {{ transformer }}; dashboards read the marts as oms_reporter.
use role {{ admin_role }};

create role if not exists oms_owner comment = 'Owns the database and its schemas';
create role if not exists oms_loader comment = 'Registers landed files as external tables';
create role if not exists {{ transformer }} comment = 'The pipeline: loads, and builds staging, intermediate and marts';
create role if not exists oms_reporter comment = 'Dashboards: reads the marts and what each run did, and nothing else';

grant role oms_loader to role {{ transformer }};
grant role {{ transformer }} to role oms_owner;
grant role oms_reporter to role oms_owner;
grant role oms_owner to role sysadmin;
