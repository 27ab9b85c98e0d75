// Keeps open what a reader has opened, when a newer part of the page is put in its place.
"use strict";
(function () {
  var open = [];
  document.addEventListener("htmx:beforeSwap", function (event) {
    open = [].map.call(event.detail.target.querySelectorAll("details[open][id]"), function (one) { return one.id; });
  });
  document.addEventListener("htmx:afterSwap", function () {
    open.forEach(function (id) {
      var found = document.getElementById(id);
      if (found) { found.open = true; }
    });
  });
})();
