// The library has no idea of 2020-12, follows references and ids in ways of its own, and takes for
// granted that a schema is one. So every keyword is looked at here:
//   - what is not well-formed is refused, as the draft's own meta-schema would;
//   - what would silently not be honoured is refused by its name;
//   - references are resolved; the library meets only those that are made here.
// Invariants:
//   1. Schemas are visited in the order of the library's parser, and no deeper than DEPTH_MAX: it
//      calls itself for each, and its stack must hold.
//   2. No schema is applied to an instance because it is applied to that same instance already;
//      otherwise the validation would not end.
#include "workers/schema/flatten.hpp"

#include "workers/schema/keywords.hpp"
#include "workers/schema/values.hpp"

#include <cctype>
#include <cmath>
#include <unordered_map>
#include <vector>

using nlohmann::json;

namespace
{

constexpr size_t DEPTH_MAX = 100;
constexpr size_t SCHEMAS_MAX = 2000;
constexpr size_t PATTERNS_MAX = 32; // each has memory of its own
constexpr size_t PLACE_BYTES = 200;
constexpr double EXACT = 9223372036854775808.0; // 2^63

const char *const texts[] = {"title", "description", "$comment", "format"};

class Flattening
{
  public:
    explicit Flattening(const json &root) : root_(root)
    {
        flat_.document = {
            {"$ref", "#/s/0"       },
            {"s",    json::object()}
        };
    }

    Flat run()
    {
        draft_ = draft_of(root_);
        (void)visit(root_);
        // What nothing refers to has to be well-formed as well. It may bring more of its kind.
        for (size_t i = 0; i < left_over_.size(); i++) {
            path_ = left_over_[i].second;
            (void)visit(*left_over_[i].first);
        }
        find_loops();
        return std::move(flat_);
    }

  private:
    using Path = std::vector<std::string>;

    // A step into the schema, for as long as it lives.
    class Step
    {
      public:
        Step(Path &path, std::string name) : path_(path)
        {
            path_.push_back(std::move(name));
        }
        ~Step()
        {
            path_.pop_back();
        }
        Step(const Step &) = delete;
        Step &operator=(const Step &) = delete;

      private:
        Path &path_;
    };

    [[noreturn]] void refuse(const std::string &why) const
    {
        std::string place;

        for (const std::string &name : path_)
            place += "/" + name.substr(0, PLACE_BYTES);
        if (place.size() > PLACE_BYTES)
            place.resize(PLACE_BYTES);
        throw Refusal(why, place);
    }

    // Refusals of what does not know where it is.
    template <typename Job> void placed(Job job) const
    {
        try {
            job();
        } catch (const Refusal &refusal) {
            refuse(refusal.what());
        }
    }

    Draft draft_of(const json &root) const
    {
        if (!root.is_object() || !root.contains("$schema"))
            return DRAFT_2020;
        const json &named = root["$schema"];
        std::string name = named.is_string() ? named.get<std::string>() : "";

        if (!name.empty() && name.back() == '#')
            name.pop_back();
        if (name == "http://json-schema.org/draft-07/schema" ||
            name == "https://json-schema.org/draft-07/schema")
            return DRAFT_07;
        if (name == "https://json-schema.org/draft/2020-12/schema")
            return DRAFT_2020;
        refuse("$schema should be http://json-schema.org/draft-07/schema# or "
               "https://json-schema.org/draft/2020-12/schema");
    }

    // --- references -----------------------------------------------------------------------------

    std::string unescape(const std::string &fragment) const
    {
        std::string plain;

        for (size_t i = 0; i < fragment.size(); i++) {
            if (fragment[i] != '%') {
                plain += fragment[i];
                continue;
            }
            if (i + 2 >= fragment.size() ||
                isxdigit(static_cast<unsigned char>(fragment[i + 1])) == 0 ||
                isxdigit(static_cast<unsigned char>(fragment[i + 2])) == 0)
                refuse("$ref has a % without two hexadecimal digits");
            plain += static_cast<char>(std::stoi(fragment.substr(i + 1, 2), nullptr, 16));
            i += 2;
        }
        return plain;
    }

    const json &target_of(const json &ref) const
    {
        if (!ref.is_string())
            refuse("$ref should be a string");
        const auto &text = ref.get_ref<const std::string &>();

        if (text != "#" && text.compare(0, 2, "#/") != 0)
            refuse(
                "$ref should begin with #/: only places in the schema itself can be referred to");
        try {
            return root_.at(json::json_pointer(unescape(text.substr(1))));
        } catch (const json::exception &) {
            refuse("$ref refers to a place that is not there");
        }
    }

    // Beside a $ref draft-07 knows no other keyword.
    bool is_only_reference(const json &schema) const
    {
        if (!schema.is_object() || !schema.contains("$ref"))
            return false;
        if (draft_ == DRAFT_07)
            return true;
        for (const auto &member : schema.items()) {
            // An $id is no matter of what is valid, but it would change what the $ref refers to.
            if (member.key() == "$id" ||
                (member.key() != "$ref" && keyword_find(member.key()) != nullptr))
                return false;
        }
        return true;
    }

    const json &follow(const json &schema)
    {
        const json *at = &schema;
        size_t steps = 0;

        while (is_only_reference(*at)) {
            if (++steps > DEPTH_MAX)
                refuse("$ref leads back to itself, or through more than " +
                       std::to_string(DEPTH_MAX) + " others");
            leave_definitions(*at);
            at = &target_of((*at)["$ref"]);
        }
        return *at;
    }

    // --- one schema -----------------------------------------------------------------------------

    size_t visit(const json &place)
    {
        const json &schema = follow(place);
        auto known = ids_.find(&schema);

        if (known != ids_.end())
            return known->second;
        size_t id = ids_.size();

        if (id >= SCHEMAS_MAX)
            refuse("the schema consists of more than " + std::to_string(SCHEMAS_MAX) + " schemas");
        if (++depth_ > DEPTH_MAX)
            refuse("schemas are nested more than " + std::to_string(DEPTH_MAX) + " levels deep");
        ids_[&schema] = id;
        beside_.resize(ids_.size());
        json made = convert(schema, id);
        flat_.document["s"][std::to_string(id)] = std::move(made);
        depth_--;
        return id;
    }

    json reference_to(size_t id) const
    {
        return {
            {"$ref", "#/s/" + std::to_string(id)}
        };
    }

    // A schema for a part of the instance.
    json inside(const json &place, const std::string &name)
    {
        Step step(path_, name);

        return reference_to(visit(place));
    }

    // A schema for the same instance as that of id.
    json beside(size_t id, const json &place, const std::string &name)
    {
        Step step(path_, name);
        size_t other = visit(place);

        beside_[id].push_back(other);
        return reference_to(other);
    }

    json convert(const json &schema, size_t id)
    {
        if (schema.is_boolean())
            return schema;
        if (!schema.is_object())
            refuse("a schema should be an object or a boolean");
        check_keywords(schema);
        json made = json::object();
        size_t weight = 0;

        placed([&] { weight = values_copy(schema, &made); });
        copy_pattern(schema, &made);
        convert_combinations(schema, id, &made);
        convert_arrays(schema, &made);
        convert_conditions(schema, id, &made);
        convert_objects(schema, &made);
        leave_definitions(schema);
        made["title"] = std::to_string(weight);
        return made;
    }

    void check_keywords(const json &schema)
    {
        for (const auto &member : schema.items()) {
            Step step(path_, member.key());
            const Keyword *keyword = keyword_find(member.key());

            if (member.key().find('\0') != std::string::npos)
                refuse("U+0000 in a name is not supported");
            if (keyword != nullptr && (keyword->drafts & (1U << draft_)) == 0)
                refuse(
                    "'" + member.key() + "' is not supported in " + draft_names[draft_] +
                    (keyword->instead != nullptr ? std::string("; use ") + keyword->instead : ""));
        }
        for (const char *name : texts) {
            if (schema.contains(name) && !schema[name].is_string())
                refuse(std::string(name) + " should be a string");
        }
        if (&schema != &root_ && schema.contains("$id"))
            refuse("'$id' is supported only at the top of the schema");
    }

    // --- patterns -------------------------------------------------------------------------------

    void copy_pattern(const json &schema, json *made)
    {
        if (!schema.contains("pattern"))
            return;
        if (!schema["pattern"].is_string())
            refuse("pattern should be a string");
        Step step(path_, "pattern");

        add_pattern(schema["pattern"].get<std::string>());
        (*made)["pattern"] = schema["pattern"];
    }

    void add_pattern(const std::string &pattern)
    {
        if (pattern.find('\0') != std::string::npos)
            refuse("U+0000 in a pattern is not supported");
        flat_.patterns.insert(pattern);
        if (flat_.patterns.size() > PATTERNS_MAX)
            refuse("the schema has more than " + std::to_string(PATTERNS_MAX) + " patterns");
    }

    // --- keywords with schemas in them, in the order of the library's parser --------------------

    json list_beside(const json &schema, size_t id, const char *name)
    {
        json made = json::array();
        size_t index = 0;

        if (!schema[name].is_array() || schema[name].empty())
            refuse(std::string(name) + " should be a list of at least one schema");
        Step step(path_, name);
        for (const json &place : schema[name])
            made.push_back(beside(id, place, std::to_string(index++)));
        return made;
    }

    void convert_combinations(const json &schema, size_t id, json *made)
    {
        if (schema.contains("allOf"))
            (*made)["allOf"] = list_beside(schema, id, "allOf");
        if (schema.contains("$ref"))
            (*made)["allOf"].push_back(beside(id, target_of(schema["$ref"]), "$ref"));
        if (schema.contains("anyOf"))
            (*made)["anyOf"] = list_beside(schema, id, "anyOf");
        if (schema.contains("contains"))
            (*made)["contains"] = inside(schema["contains"], "contains");
        for (const char *name : {"dependencies", "dependentRequired", "dependentSchemas"})
            convert_dependencies(schema, id, name, made);
    }

    void convert_dependencies(const json &schema, size_t id, const std::string &name, json *made)
    {
        if (!schema.contains(name))
            return;
        Step step(path_, name);

        if (!schema[name].is_object())
            refuse(name + " should be an object");
        for (const auto &member : schema[name].items()) {
            const std::string &property = member.key();

            check_name(property);
            if ((*made)["dependencies"].contains(property))
                refuse("'" + property +
                       "' in both dependentRequired and dependentSchemas is not "
                       "supported; use allOf");
            if (member.value().is_array() && name != "dependentSchemas") {
                Step into(path_, property);
                placed([&] { values_check_names(member.value(), "a dependency"); });
                (*made)["dependencies"][property] = member.value();
            } else if (name == "dependentRequired") {
                refuse("a dependency should be a list of names");
            } else {
                (*made)["dependencies"][property] = beside(id, member.value(), property);
            }
        }
    }

    void convert_arrays(const json &schema, json *made)
    {
        if (draft_ == DRAFT_2020 && schema.contains("prefixItems")) {
            if (!schema["prefixItems"].is_array() || schema["prefixItems"].empty())
                refuse("prefixItems should be a list of at least one schema");
            if (schema.contains("items"))
                (*made)["additionalItems"] = inside(schema["items"], "items");
            (*made)["items"] = list_inside(schema, "prefixItems");
        } else if (schema.contains("items") && schema["items"].is_array()) {
            if (draft_ == DRAFT_2020)
                refuse("items should be a schema; use prefixItems for a list of them");
            if (schema.contains("additionalItems"))
                (*made)["additionalItems"] = inside(schema["additionalItems"], "additionalItems");
            (*made)["items"] = list_inside(schema, "items");
        } else {
            if (schema.contains("items"))
                (*made)["items"] = inside(schema["items"], "items");
            leave(schema, "additionalItems");
        }
    }

    json list_inside(const json &schema, const char *name)
    {
        Step step(path_, name);
        json made = json::array();
        size_t index = 0;

        for (const json &place : schema[name])
            made.push_back(inside(place, std::to_string(index++)));
        return made;
    }

    void convert_conditions(const json &schema, size_t id, json *made)
    {
        bool asked = schema.contains("if");

        for (const char *name : {"if", "then", "else"}) {
            if (asked && schema.contains(name))
                (*made)[name] = beside(id, schema[name], name);
            else
                leave(schema, name);
        }
        if (schema.contains("not"))
            (*made)["not"] = beside(id, schema["not"], "not");
        if (schema.contains("oneOf"))
            (*made)["oneOf"] = list_beside(schema, id, "oneOf");
    }

    void check_name(const std::string &name) const
    {
        if (name.find('\0') != std::string::npos)
            refuse("U+0000 in a name is not supported");
    }

    void convert_objects(const json &schema, json *made)
    {
        for (const char *name : {"properties", "patternProperties"}) {
            if (!schema.contains(name))
                continue;
            Step step(path_, name);
            json members = json::object();

            if (!schema[name].is_object())
                refuse(std::string(name) + " should be an object");
            for (const auto &member : schema[name].items()) {
                check_name(member.key());
                if (name[1] == 'a')
                    add_pattern(member.key());
                members[member.key()] = inside(member.value(), member.key());
            }
            (*made)[name] = std::move(members);
        }
        for (const char *name : {"additionalProperties", "propertyNames"}) {
            if (schema.contains(name))
                (*made)[name] = inside(schema[name], name);
        }
    }

    // --- what nothing may refer to --------------------------------------------------------------

    void leave(const json &schema, const char *name)
    {
        if (!schema.contains(name))
            return;
        left_over_.emplace_back(&schema[name], path_);
        left_over_.back().second.push_back(name);
    }

    void leave_definitions(const json &schema)
    {
        for (const char *name : {"$defs", "definitions"}) {
            if (!schema.contains(name) || !left_.insert(&schema[name]).second)
                continue;
            if (!schema[name].is_object())
                refuse(std::string(name) + " should be an object");
            for (const auto &member : schema[name].items()) {
                left_over_.emplace_back(&member.value(), path_);
                left_over_.back().second.push_back(name);
                left_over_.back().second.push_back(member.key());
            }
        }
    }

    // --- loops ----------------------------------------------------------------------------------

    enum Mark : unsigned char {
        NEW,
        OPEN,
        DONE,
    };

    // Depth first, with a stack of its own.
    void find_loops() const
    {
        std::vector<Mark> marks(beside_.size(), NEW);

        for (size_t start = 0; start < beside_.size(); start++) {
            std::vector<std::pair<size_t, size_t>> stack = {
                {start, 0}
            };

            if (marks[start] != NEW)
                continue;
            marks[start] = OPEN;
            while (!stack.empty()) {
                auto &[id, next] = stack.back();

                if (next == beside_[id].size()) {
                    marks[id] = DONE;
                    stack.pop_back();
                    continue;
                }
                size_t other = beside_[id][next++];

                if (marks[other] == OPEN)
                    throw Refusal("$ref leads back to itself without going into the instance", "");
                if (marks[other] == NEW) {
                    marks[other] = OPEN;
                    stack.emplace_back(other, 0);
                }
            }
        }
    }

    const json &root_;
    Draft draft_ = DRAFT_2020;
    Flat flat_;
    Path path_;
    size_t depth_ = 0;
    std::unordered_map<const json *, size_t> ids_;
    std::vector<std::vector<size_t>> beside_; // by id: schemas for the same instance
    std::vector<std::pair<const json *, Path>> left_over_;
    std::set<const json *> left_;
};

} // namespace

void even_numbers(json *value)
{
    if (value->is_structured()) {
        for (json &part : *value)
            even_numbers(&part);
    } else if (value->is_number_unsigned() && value->get<uint64_t>() > INT64_MAX) {
        *value = static_cast<double>(value->get<uint64_t>());
    } else if (value->is_number_unsigned()) {
        *value = static_cast<int64_t>(value->get<uint64_t>());
    } else if (value->is_number_float()) {
        double number = value->get<double>();

        if (number == std::floor(number) && number >= -EXACT && number < EXACT)
            *value = static_cast<int64_t>(number);
    }
}

Flat flatten(const json &schema)
{
    return Flattening(schema).run();
}
