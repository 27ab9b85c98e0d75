// Not needed: it only answers a press at once, and keeps a second one from being sent.
(function () {
  "use strict";
  var forms = document.getElementsByTagName("form"), i;
  function pressed(event) {
    var button = event.target.getElementsByTagName("button")[0], text = button.getAttribute("data-pressed");
    setTimeout(function () {
      button.disabled = true;
      if (text) { button.firstChild.data = text; }
    }, 0);
  }
  for (i = 0; document.addEventListener && i < forms.length; i += 1) { forms[i].addEventListener("submit", pressed); }
}());
