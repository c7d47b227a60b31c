/* Reads a binary PPM (P6, 8 bits): the plainest picture file there is, so that the examples need no library. */
#ifndef AGEPRED_EXAMPLES_PPM_H
#define AGEPRED_EXAMPLES_PPM_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Pixels of width x height x 3 bytes, RGB, to be freed by the caller; NULL for a file that is no such picture. */
static uint8_t *read_ppm(const char *path, int *width, int *height) {
    FILE *file = fopen(path, "rb");
    uint8_t *pixels = NULL;
    int most = 0;
    if (file == NULL) {
        return NULL;
    }
    if (fscanf(file, "P6 %d %d %d", width, height, &most) == 3 && fgetc(file) != EOF && most == 255 && *width > 0 &&
        *height > 0 && *width <= 65535 && *height <= 65535) {
        const size_t size = (size_t)*width * (size_t)*height * 3;
        pixels = (uint8_t *)malloc(size);
        if (pixels != NULL && fread(pixels, 1, size, file) != size) {
            free(pixels);
            pixels = NULL;
        }
    }
    fclose(file);
    return pixels;
}

#endif
