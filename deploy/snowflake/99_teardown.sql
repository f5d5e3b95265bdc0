-- Takes away everything that the other files make, the marts included. The raw zone stays: all can be built from it.
use role {{ admin_role }};

drop user if exists oms_dashboards_user;
drop user if exists oms_pipeline_user;
drop database if exists {{ database }};
drop storage integration if exists oms_raw;
drop warehouse if exists oms_dashboards;
drop warehouse if exists {{ warehouse }};
drop resource monitor if exists oms_monitor;
drop role if exists oms_reporter;
drop role if exists {{ transformer }};
drop role if exists oms_loader;
drop role if exists oms_owner;
