/* The header in C11 and the exported symbols: what needs neither a model nor ONNX Runtime. */
#include <stdio.h>
#include <string.h>

#include "agepred/agepred.h"

int main(void) {
    agepred_error error = {.struct_size = sizeof error};
    agepred_estimator *estimator = NULL;
    agepred_options options = {.struct_size = sizeof options};
    uint8_t pixels[3] = {10, 20, 30};
    agepred_image image = {sizeof image, pixels, 1, 1, 3, AGEPRED_RGB};
    const float points[10] = {0, 0, 1, 0, 0.5F, 0.5F, 0, 1, 1, 1};
    uint8_t crop[4 * 4 * 3];
    int failures = 0;

    failures += agepred_estimator_create(&options, &estimator, &error) != AGEPRED_INVALID_ARGUMENT;
    failures += strstr(error.message, "age model") == NULL;
    failures += agepred_align(&image, points, NULL, 4, crop, &error) != AGEPRED_OK;
    failures += crop[0] != 10 || crop[47] != 30;
    agepred_estimator_free(NULL);
    agepred_detector_free(NULL);
    printf("libagepred %s, %d failures\n", agepred_version(), failures);
    return failures != 0;
}
