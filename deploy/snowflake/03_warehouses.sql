-- The pipeline's warehouse wakes once per run; the dashboards' own keeps a slow dashboard from delaying the morning.
-- The pipeline's two timeouts add up to less than the client waits, so that Snowflake tells what took too long.
use role {{ admin_role }};

create warehouse if not exists {{ warehouse }} with
    warehouse_size = xsmall
    auto_suspend = 60
    auto_resume = true
    initially_suspended = true
    resource_monitor = oms_monitor
    statement_timeout_in_seconds = 2400
    statement_queued_timeout_in_seconds = 900
    comment = 'OMS Pipeline: the daily run';
alter warehouse {{ warehouse }} set
    warehouse_size = xsmall
    auto_suspend = 60
    auto_resume = true
    resource_monitor = oms_monitor
    statement_timeout_in_seconds = 2400
    statement_queued_timeout_in_seconds = 900;

create warehouse if not exists oms_dashboards with
    warehouse_size = xsmall
    auto_suspend = 60
    auto_resume = true
    initially_suspended = true
    resource_monitor = oms_monitor
    statement_timeout_in_seconds = 120
    statement_queued_timeout_in_seconds = 60
    comment = 'OMS Pipeline: dashboards';
alter warehouse oms_dashboards set
    warehouse_size = xsmall
    auto_suspend = 60
    auto_resume = true
    resource_monitor = oms_monitor
    statement_timeout_in_seconds = 120
    statement_queued_timeout_in_seconds = 60;
