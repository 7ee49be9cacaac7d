// One function a keyword: what the draft's meta-schema would say of it, and a copy.
#include "workers/schema/values.hpp"

#include "workers/schema/flatten.hpp"

using nlohmann::json;

namespace
{

const char *const counts[] = {"maxItems", "maxLength", "maxProperties",
                              "minItems", "minLength", "minProperties"};
const char *const bounds[] = {"exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum"};

[[noreturn]] void refuse(const std::string &why)
{
    throw Refusal(why, "");
}

void check_unique(const json &list, const char *name)
{
    if (std::set<json>(list.begin(), list.end()).size() != list.size())
        refuse(std::string(name) + " should not name anything twice");
}

void copy_multiple(const json &schema, json *made)
{
    if (!schema.contains("multipleOf"))
        return;
    const json &value = schema["multipleOf"];

    if (!value.is_number() || value.get<double>() <= 0)
        refuse("multipleOf should be a number greater than 0");
    (*made)["multipleOf"] = value;
}

void copy_type(const json &schema, json *made)
{
    static const std::set<std::string> known = {"array",  "boolean", "integer", "null",
                                                "number", "object",  "string"};

    if (!schema.contains("type"))
        return;
    const json &type = schema["type"];
    const json list = type.is_array() ? type : json::array({type});

    if (list.empty())
        refuse("type should name at least one type");
    for (const json &name : list) {
        if (!name.is_string() || known.count(name.get<std::string>()) == 0)
            refuse("type should be one or a list of array, boolean, integer, null, number, "
                   "object, string");
    }
    check_unique(list, "type");
    (*made)["type"] = list;
}

void copy_required(const json &schema, json *made)
{
    if (!schema.contains("required"))
        return;
    values_check_names(schema["required"], "required");
    (*made)["required"] = schema["required"];
}

void copy_choices(const json &schema, json *made)
{
    if (schema.contains("enum")) {
        if (!schema["enum"].is_array() || schema["enum"].empty())
            refuse("enum should be a list of at least one value");
        (*made)["enum"] = schema["enum"];
    }
    if (schema.contains("const")) {
        (*made)["const"] = schema["const"];
    }
}

// Of comparing something with a value.
size_t weight_of(const json &value)
{
    size_t weight = 1;

    if (value.is_string())
        weight += value.get_ref<const std::string &>().size() / 64;
    if (value.is_structured()) {
        for (const json &part : value)
            weight += weight_of(part);
    }
    return weight;
}

// Names are looked up one by one, in every instance.
size_t weight_of_names(const json &schema)
{
    size_t weight = schema.contains("required") ? schema["required"].size() : 0;

    for (const char *name : {"dependencies", "dependentRequired", "dependentSchemas"}) {
        if (!schema.contains(name))
            continue;
        for (const json &names : schema[name])
            weight += 1 + (names.is_array() ? names.size() : 0);
    }
    return weight;
}

} // namespace

void values_check_names(const json &list, const char *what)
{
    if (!list.is_array())
        refuse(std::string(what) + " should be a list of names");
    for (const json &name : list) {
        if (!name.is_string())
            refuse(std::string(what) + " should be a list of names");
        if (name.get_ref<const std::string &>().find('\0') != std::string::npos)
            refuse("U+0000 in a name is not supported");
    }
    check_unique(list, what);
}

size_t values_copy(const json &schema, json *made)
{
    for (const char *name : counts) {
        if (!schema.contains(name))
            continue;
        const json &value = schema[name];
        if (!value.is_number_integer() || value.get<int64_t>() < 0)
            refuse(std::string(name) + " should be a whole number that is not negative");
        (*made)[name] = value;
    }
    for (const char *name : bounds) {
        if (!schema.contains(name))
            continue;
        if (!schema[name].is_number())
            refuse(std::string(name) + " should be a number");
        (*made)[name] = schema[name];
    }
    copy_multiple(schema, made);
    copy_type(schema, made);
    copy_required(schema, made);
    copy_choices(schema, made);
    if (schema.contains("uniqueItems")) {
        if (!schema["uniqueItems"].is_boolean())
            refuse("uniqueItems should be a boolean");
        (*made)["uniqueItems"] = schema["uniqueItems"];
    }
    return 1 + weight_of_names(schema) + (schema.contains("enum") ? weight_of(schema["enum"]) : 0) +
           (schema.contains("const") ? weight_of(schema["const"]) : 0);
}
