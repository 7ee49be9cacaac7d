# Makes the C view of the contract, at build time and in the build folder only.
#
# The files in handoffrail/v1 are plain proto3, so that any language can compile them. protobuf-c 1.4
# knows neither proto3 `optional` nor strings that contain U+0000, so the copy it compiles
#   - is proto2, where every singular field has presence (same bytes on the wire), and
#   - carries strings as length and bytes, so that no text is cut at a NUL.
/^syntax = "proto3";/ {
    print "syntax = \"proto2\";"
    next
}
/^package / {
    print
    print "import \"protobuf-c/protobuf-c.proto\";"
    print "option (pb_c_file).c_package = \"hr\";"
    next
}
/^(message|enum) / { in_enum = ($1 == "enum") }
/^  [A-Za-z0-9.]+ [a-z0-9_]+ = [0-9]+;/ && !in_enum { sub(/^  /, "  optional ") }
/^  (optional|repeated) string / { sub(/;/, " [(pb_c_field).string_as_bytes = true];") }
{ print }
