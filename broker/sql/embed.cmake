# embed_sql(<output.c> <files of deploy/sql>...): the migrations as C, so that a program carries them.
# Run by cmake -P with OUTPUT and INPUTS set, this file does the writing.
function(embed_sql output)
  set(inputs)
  foreach(file ${ARGN})
    list(APPEND inputs ${CMAKE_SOURCE_DIR}/deploy/sql/${file})
  endforeach()
  add_custom_command(
    OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -DOUTPUT=${output} "-DINPUTS=${inputs}"
            -P ${CMAKE_SOURCE_DIR}/broker/sql/embed.cmake
    DEPENDS ${inputs} ${CMAKE_SOURCE_DIR}/broker/sql/embed.cmake
    VERBATIM)
endfunction()

if(CMAKE_SCRIPT_MODE_FILE)
  set(texts)
  set(table)
  foreach(input ${INPUTS})
    get_filename_component(name ${input} NAME_WE)
    string(REGEX MATCH "^[0-9]+" digits ${name})
    string(REGEX REPLACE "^0+" "" version ${digits})
    file(READ ${input} hex HEX)
    string(REGEX REPLACE "(..)" "0x\\1," bytes "${hex}")
    string(REGEX REPLACE "((0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,))" "\\1\n" bytes
           "${bytes}")
    string(APPEND texts "static const unsigned char text_${version}[] = {\n${bytes}0x00};\n")
    string(APPEND table
           "    {${version}, \"${name}\", (const char *)text_${version}, sizeof text_${version} - 1},\n")
  endforeach()
  file(WRITE ${OUTPUT}
       "#include \"broker/sql/migrate.h\"\n\n${texts}\n"
       "const struct sql_file sql_files[] = {\n${table}    {0, NULL, NULL, 0},\n};\n")
endif()
