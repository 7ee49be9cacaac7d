# embed_text(<output.c> <input> <name>): a file as the bytes `name` with a NUL behind them, so that the program carries it.
# Run by cmake -P with OUTPUT, INPUT and NAME set, this file does the writing.
function(embed_text output input name)
  add_custom_command(
    OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -DOUTPUT=${output} -DINPUT=${input} -DNAME=${name}
            -P ${CMAKE_CURRENT_SOURCE_DIR}/embed.cmake
    DEPENDS ${input} ${CMAKE_CURRENT_SOURCE_DIR}/embed.cmake
    VERBATIM)
endfunction()

if(CMAKE_SCRIPT_MODE_FILE)
  file(READ ${INPUT} hex HEX)
  string(REGEX REPLACE "(..)" "0x\\1," bytes "${hex}")
  string(REGEX REPLACE "((0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,))" "\\1\n" bytes
         "${bytes}")
  file(WRITE ${OUTPUT}
       "extern const unsigned char ${NAME}[];\nconst unsigned char ${NAME}[] = {\n${bytes}0x00};\n")
endif()
