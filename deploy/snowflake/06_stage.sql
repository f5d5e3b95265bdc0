-- The raw zone as Snowflake sees it.
use role oms_owner;

create file format if not exists {{ database }}.external.parquet
    type = parquet
    binary_as_text = false
    use_logical_type = true;

create stage if not exists {{ database }}.external.raw
    url = {{ bucket_url }}
    storage_integration = oms_raw
    file_format = (format_name = '{{ database }}.external.parquet');
alter stage {{ database }}.external.raw set
    url = {{ bucket_url }}
    storage_integration = oms_raw;

-- Which window each staging table holds. Every run writes here first, so runs wait here for each other.
create table if not exists {{ database }}.external.held_windows (
    relation varchar not null,
    held varchar not null
);
