/** What the server says in English, in Russian. What is not in this list is shown as it was said. */
type Rule = [RegExp, string];

const seconds = 'секунд';
const RULES: Rule[] = [
  // Rules of a spec
  [/^must be 1 to 63 characters: letters, digits, _ \. - and the first a letter or digit$/, 'должно быть от 1 до 63 символов: латинские буквы, цифры, _ . -, первой — буква или цифра'],
  [/^must be (\d+) to (\d+) characters$/, 'должно быть от $1 до $2 символов'],
  [/^must be (\d+) to (\d+)$/, 'должно быть от $1 до $2'],
  [/^must be ([\d.]+) to ([\d.]+) cores$/, 'должно быть от $1 до $2 ядер'],
  [/^must be at least 6291456 bytes \(6 MiB\)$/, 'должно быть не меньше 6 МиБ'],
  [/^must be printable ASCII without spaces$/, 'должно состоять из печатных символов ASCII без пробелов'],
  [/^must not contain credentials$/, 'не должно содержать логин и пароль'],
  [/^must not contain a NUL character$/, 'не должно содержать символ NUL'],
  [/^must not be empty or contain = or NUL$/, 'не должно быть пустым и содержать = или NUL'],
  [/^must not be empty$/, 'не должно быть пустым'],
  [/^must have either value or secret$/, 'нужно указать значение или ссылку на секрет'],
  [/^is set twice$/, 'задано дважды'],
  [/^is named twice$/, 'указано дважды'],
  [/^is mounted twice$/, 'подключено дважды'],
  [/^is published twice on the same address$/, 'опубликован дважды на одном адресе'],
  [/^start_then_stop cannot be used with a published host port$/, 'запуск до остановки невозможен при опубликованном порте хоста'],
  [/^must be 1 when a host port is published$/, 'должна быть одна, если опубликован порт хоста'],
  [/^must be the name of a network$/, 'должно быть именем сети'],
  [/^must be the only network$/, 'должна быть единственной сетью'],
  [/^cannot be used with published ports$/, 'несовместима с опубликованными портами'],
  [/^must not have an empty key$/, 'ключ не должен быть пустым'],
  [/^keys that begin with shipslog\. are taken$/, 'ключи, начинающиеся с shipslog., заняты'],
  [/^must be a volume name or an absolute path without a colon$/, 'должно быть именем тома или абсолютным путём без двоеточия'],
  [/^must be an absolute path other than \/ and without a colon$/, 'должно быть абсолютным путём, кроме /, без двоеточия'],
  [/^this source kind cannot roll back$/, 'источники этого вида не умеют откатываться'],
  [/^must be file:\/absolute\/path or env:NAME$/, 'должно быть file:/абсолютный/путь или env:ИМЯ'],
  [/^must be an IP address$/, 'должно быть IP-адресом'],
  [/^must be a whole number from (\d+) to (\d+)$/, 'должно быть целым числом от $1 до $2'],
  [/^must be a whole number, 0 or more$/, 'должно быть целым числом, не меньше 0'],
  [/^must not be longer than (\d+) characters$/, 'не должно быть длиннее $1 символов'],
  [/^is required$/, 'обязательно'],
  [/^is not valid$/, 'недопустимо'],
  [/^no plugin is registered for this source kind$/, 'источники такого вида здесь не поддерживаются'],
  [/^must be an image reference such as registry\/app:1\.4, not a URL$/, 'должно быть ссылкой на образ вида registry/app:1.4, а не URL'],
  [/^must have a digest of the form .*$/, 'после @ должен стоять дайджест вида sha256:<64 шестнадцатеричные цифры>, а перед ним — никаких логинов и паролей'],
  [/^must begin with a valid registry host.*$/, 'должно начинаться с допустимого имени реестра, например registry.example:5000/'],
  [/^must name a repository in lower-case.*$/, 'имя репозитория пишется строчными латинскими буквами и цифрами, между ними — одиночные . _ -'],
  [/^must be a name: an image id cannot be deployed$/, 'должно быть именем: развернуть по идентификатору образа нельзя'],
  [/^must have a tag of at most 128 letters, digits and _ \. -$/, 'тег — не длиннее 128 латинских букв, цифр и _ . -'],
  [/^must not be given twice$/, 'не должно повторяться'],
  // Repositories
  [/^must name a branch, a tag or a commit in full after the #$/, 'после # должны стоять ветка, тег или полный номер коммита'],
  [/^must end with a path inside of the repository, without \.\. and not beginning with \/$/, 'путь должен лежать внутри репозитория, без .. и без / в начале'],
  [/^must be a path inside of the repository, without \.\. and not beginning with \/$/, 'должно быть путём внутри репозитория, без .. и без / в начале'],
  [/^must begin with https:\/\/ or http:\/\/, as no other way to a repository is supported$/, 'должно начинаться с https:// или http://: другие способы доступа не поддерживаются'],
  [/^must not contain credentials: name a token in source\.options\.token$/, 'не должно содержать логин и пароль: укажите токен в отдельном поле'],
  [/^must name a valid host$/, 'недопустимое имя хоста'],
  [/^must name a repository by a path of letters.* at most (\d+) characters$/, 'путь репозитория — латинские буквы, цифры и . _ - ~ + между косыми чертами, всего не длиннее $1 символов'],
  [/^must be 1 to (\d+) letters, digits and _, not beginning with a digit$/, 'должно быть от 1 до $1 латинских букв, цифр и _, первой — не цифра'],
  [/^must be 1 to (\d+) printable characters without spaces and colons$/, 'должно быть от 1 до $1 печатных символов без пробелов и двоеточий'],
  [/^goes with a token, and there is none$/, 'нужно только вместе с токеном, а он не указан'],
  // Services of a swarm
  [/^cannot be had with a service, which answers on every address$/, 'задать нельзя: сервис отвечает на всех адресах'],
  [/^start_then_stop cannot be used with the option publish: host$/, 'запуск до остановки невозможен, если порты отвечают на узле, где работает сервис'],
  [/^must have no dots and end with a letter or digit, to be the name of a service$/, 'должно быть без точек и кончаться буквой или цифрой: это имя сервиса'],
  // Compose files
  [/^must hold the Compose file$/, 'нужен текст файла Compose'],
  [/^can only be given with the reference inline$/, 'задаётся, только если файл Compose хранится в спецификации'],
  [/^must be inline, or the absolute path of a Compose file or of its folder$/, 'должно быть абсолютным путём к файлу Compose или к его каталогу'],
  [/^belongs in the Compose file, to each service its own$/, 'задаётся в файле Compose, для каждого сервиса отдельно'],
  [/^must be auto or recreate: Compose stops a service before it starts it anew$/, 'должно быть auto или recreate: Compose останавливает сервис перед новым запуском'],
  [/^would change how Compose itself works: choose another name$/, 'повлияет на сам Compose: выберите другое имя'],
  [/^must not be longer than (\d+) MiB$/, 'не должно быть длиннее $1 МиБ'],
  [/^must be a mapping with services in it$/, 'должно быть отображением (mapping) с разделом services'],
  [/^must be a mapping of services$/, 'должно быть отображением (mapping) с сервисами'],
  [/^must be a mapping$/, 'должно быть отображением (mapping)'],
  [/^must not be more than (\d+)$/, 'не должно быть больше $1'],
  [/^must hold one that is started, without a profile$/, 'нужен хотя бы один сервис без профиля, который запускается'],
  [/^must have names of at most 63 letters, digits, _ \. and -, the first a letter or digit$/, 'имена — не длиннее 63 латинских букв, цифр, _ . и -, первой — буква или цифра'],
  [/^is too much: too many nodes, anchors or levels$/, 'слишком велик: чересчур много узлов, якорей или уровней'],
  [/^is not valid YAML$/, 'не является допустимым YAML'],
  [/^has a \$ that begins no variable: write \$\$ for a dollar that means itself$/, 'содержит $, за которым нет имени переменной; сам знак доллара пишется как $$$$'],
  [/^uses a variable that is not in env$/, 'использует переменную, которой нет среди переменных'],
  [/^is not supported: all of it must be in one file$/, 'не поддерживается: всё должно быть в одном файле'],
  [/^is relative, and a file that is given inline is in no folder$/, 'относительный путь, а файл из спецификации не лежит ни в каком каталоге'],
  [/^names a service that is not there$/, 'называет сервис, которого нет'],
  [/^names a service that has a profile, and so is not started$/, 'называет сервис с профилем, а он не запускается'],
  [/^needs a folder to build from: a file that is given inline has none$/, 'для сборки нужен каталог, а у файла из спецификации его нет'],
  [/^needs an image$/, 'нужен образ'],
  [/^must not be scaled to none: leave it out instead$/, 'число копий не должно быть нулём: уберите сервис'],
  [/^has one that begins with shipslog\., which is taken$/, 'содержит метку, начинающуюся с shipslog.; такие метки заняты'],
  [/^leads in a circle$/, 'зависимости замкнуты в круг'],
  // What a source kind lacks
  [/^Git is not installed on this machine\. Install it, for example with: (.*)$/, 'На этой машине нет git. Установите его, например так: $1'],
  [/^The git of this machine is too old\. Install version ([\d.]+) or later$/, 'На этой машине слишком старый git. Установите версию $1 или новее'],
  [/^Neither docker compose nor docker-compose was found: install .*$/, 'Нет ни docker compose, ни docker-compose. Установите пакет docker-compose или docker-compose-v2 своего дистрибутива либо плагин Compose с docs.docker.com/compose/install'],
  [/^This engine is not part of a swarm: run docker swarm init on this host$/, 'Этот Docker не входит в кластер Swarm: выполните на этом хосте docker swarm init'],
  [/^This engine is not a manager of its swarm: .*$/, 'Этот Docker не управляет своим кластером Swarm: выполните на управляющем узле docker node promote для этого узла или подключите управляющий узел'],
  [/^This engine's swarm is locked: run docker swarm unlock on this host$/, 'Кластер Swarm заблокирован: выполните на этом хосте docker swarm unlock'],
  [/^This engine cannot take part in its swarm now: see docker info on this host$/, 'Этот Docker сейчас не может участвовать в своём кластере Swarm: посмотрите docker info на этом хосте'],
  // Refusals
  [/^Another managed workload has this name$/, 'Другое управляемое приложение уже носит это имя'],
  [/^The workload is only observed: it was not started by shipslog$/, 'За приложением только наблюдают: его запустил не shipslog'],
  [/^The workload is observed and its containers are still there: remove them with the tool that made them$/, 'За приложением наблюдают, и его контейнеры ещё существуют: удалите их тем инструментом, которым они созданы'],
  [/^The workload is being deployed or changed$/, 'Приложение сейчас разворачивается или изменяется'],
  [/^Another dispatch of this workload is running$/, 'Идёт другой деплой этого приложения'],
  [/^No plugin is registered for the workload's source kind$/, 'Источники этого вида здесь не поддерживаются'],
  [/^The control plane is shutting down$/, 'Сервер останавливается'],
  [/^The container engine does not answer$/, 'Docker не отвечает'],
  [/^The store does not answer(?: for now)?$/, 'Хранилище сейчас не отвечает'],
  [/^The request took too long$/, 'Запрос занял слишком много времени'],
  [/^The server failed; its log says why$/, 'Сбой сервера; причина — в его журнале'],
  // Why the engine is not there
  [/^no socket at (.*)$/, 'нет сокета $1'],
  [/^connection refused at (.*)$/, 'в соединении отказано: $1'],
  [/^permission denied at (.*)$/, 'нет прав доступа: $1'],
  [/^cannot connect to (.*)$/, 'не удаётся подключиться: $1'],
  [/^no answer in time$/, 'нет ответа за отведённое время'],
  [/^the connection broke off$/, 'соединение оборвалось'],
  [/^the answer could not be understood$/, 'ответ не удалось разобрать'],
  [/^the engine answered with status (\d+)$/, 'Docker ответил кодом $1'],
  [/^It does not answer within (\d+) seconds$/, `не отвечает в течение $1 ${seconds}`],
  // How containers are read
  [/^its cgroup (v[12]) is mounted here$/, 'его cgroup $1 смонтирована здесь'],
  [/^its cgroup is not mounted here$/, 'его cgroup здесь не смонтирована'],
  [/^its files may not be read by this user$/, 'у этого пользователя нет прав на чтение его файлов'],
  [/^its files could not be understood$/, 'его файлы не удалось разобрать'],
  [/^too many files are open$/, 'открыто слишком много файлов'],
  [/^its process is not seen here.*$/, 'его процесс отсюда не виден: Docker на другом хосте или в другом пространстве имён'],
  [/^its process is in no cgroup of its own here.*$/, 'у его процесса здесь нет собственной cgroup, как при удалённом или rootless Docker'],
];

/** A place in a Compose file, and what is wrong there. */
const PLACED = /^((?:services|volumes|networks|secrets|configs|include)(?=[ .[])\S*) (.+)$/s;
const LINE = /^line (\d+) (.+)$/s;

/** A sentence of the server in Russian; `null` when it is not known. */
export function inRussian(english: string): string | null {
  const placed = PLACED.exec(english);
  const line = LINE.exec(english);
  if (placed === null && line === null) {
    return ofRules(english);
  }
  const problem = ofRules((placed ?? line)?.[2] ?? '');
  return problem && (placed ? `${placed[1]}: ${problem}` : `строка ${line?.[1]}: ${problem}`);
}

function ofRules(english: string): string | null {
  const [, sentence = '', stop = ''] = /^(.*?)(\.?)$/s.exec(english.trim()) ?? [];
  for (const [pattern, russian] of RULES) {
    if (pattern.test(sentence)) {
      return sentence.replace(pattern, russian) + stop;
    }
  }
  return null;
}
