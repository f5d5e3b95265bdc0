-- The most that a month may cost. Notices go to account administrators who have switched them on in Snowsight.
use role {{ admin_role }};

create resource monitor if not exists oms_monitor with
    credit_quota = {{ credit_quota }}
    triggers
    on 75 percent do notify
    on 100 percent do suspend;
alter resource monitor oms_monitor set
    credit_quota = {{ credit_quota }}
    triggers
    on 75 percent do notify
    on 100 percent do suspend;
