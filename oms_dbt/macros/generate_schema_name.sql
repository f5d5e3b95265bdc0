{# A schema is named after its layer alone, in every environment: folder = schema = asset group. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ custom_schema_name or target.schema }}
{%- endmacro %}
